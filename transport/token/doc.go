// Package token tells devices by signed tokens: JSON Web Tokens (RFC 7519, as RFC
// 8725 wants them checked), with the keys of a JSON Web Key Set (RFC 7517) from a
// file or a URL.
package token

package agent

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
)

// devDevice is who shows the token of development without a user name.
const devDevice = "dev"

var errNotDevToken = errors.New("not the token of development, and nothing else can check what was shown")

// sharedToken is a token that makes whoever knows it any device; nil: there is none.
type sharedToken struct{ sum [sha256.Size]byte }

func newSharedToken(token string) *sharedToken {
	if token == "" {
		return nil
	}
	return &sharedToken{sha256.Sum256([]byte(token))}
}

// is takes as long whatever is shown.
func (t *sharedToken) is(shown string) bool {
	if t == nil {
		return false
	}
	sum := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}

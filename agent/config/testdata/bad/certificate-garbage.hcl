# without: tls.edge.cert
tls {
  edge {
    cert = "garbage.pem"
  }
}

# without: tls.edge.client_ca
tls {
  edge {
    client_auth = "optional"
  }
}

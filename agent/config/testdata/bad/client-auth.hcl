tls {
  edge {
    client_auth = "maybe"
  }
}

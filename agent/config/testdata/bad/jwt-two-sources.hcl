tls {
  edge {
    client_auth = "optional"
  }
}
identity {
  jwt {
    jwks_url  = "https://id.example.com/jwks.json"
    jwks_file = "jwks.json"
    issuer    = "https://id.example.com"
    audience  = "tidegate"
  }
}

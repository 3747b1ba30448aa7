tls {
  edge {
    client_auth = "optional"
  }
}
identity {
  jwt {
    jwks_url = "http://id.example.com/jwks.json"
    issuer   = "https://id.example.com"
    audience = "tidegate"
    device   = ""
    every    = "1s"
  }
}

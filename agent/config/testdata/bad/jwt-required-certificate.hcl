identity {
  jwt {
    jwks_file = "garbage.pem"
    issuer    = "https://id.example.com"
  }
}

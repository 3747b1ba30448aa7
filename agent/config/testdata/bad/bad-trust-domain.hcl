tls {
  mesh {
    trust_domain = "other.example"
  }
}

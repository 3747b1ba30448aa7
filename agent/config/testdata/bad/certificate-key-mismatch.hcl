# without: tls.edge.key
tls {
  edge {
    key = "other.key"
  }
}

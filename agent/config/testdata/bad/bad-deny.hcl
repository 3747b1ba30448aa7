tls {
  mesh {
    deny = ["eu-1/a1/x"]
  }
}

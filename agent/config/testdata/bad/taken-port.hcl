listeners {
  mesh {
    addr = "127.0.0.1:7443"
  }
}

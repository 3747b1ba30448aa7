listeners {
  egress {
    addr   = "127.0.0.1:7080"
    socket = "egress.sock"
  }
}

# without: listeners.admin.token
listeners {
  admin {
    addr = "127.0.0.1:7400"
  }
}

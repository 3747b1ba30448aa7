# without: listeners.admin.token
listeners {
  admin {
    token = "hunter2"
  }
}

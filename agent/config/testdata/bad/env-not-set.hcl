# without: listeners.admin.token
listeners {
  admin {
    token = env("NO_SUCH_VARIABLE")
  }
}

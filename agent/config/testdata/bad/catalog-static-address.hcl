# without: catalog
catalog {
  static {
    service "a" {
      instance { address = "127.0.0.1" }
    }
  }
}

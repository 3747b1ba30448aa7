# without: catalog
catalog {
  static {
    service "a" {
      instance {
        addr = "127.0.0.1:9001"
      }
    }
  }
}

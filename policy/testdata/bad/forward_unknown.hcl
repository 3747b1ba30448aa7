service "a" {}

route "r" {
  forward {
    service = "b"
  }
}

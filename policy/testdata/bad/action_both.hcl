service "a" {}

route "r" {
  forward {
    service = "a"
  }
  respond {}
}

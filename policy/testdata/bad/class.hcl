service "a" {}

route "r" {
  class = "urgent"
  forward {
    service = "a"
  }
}

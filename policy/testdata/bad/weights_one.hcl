service "a" {}
service "b" {}

route "r" {
  forward {
    service = "a"
    weight  = 10
  }
}

service "a" {}
service "b" {}

route "r" {
  forward {
    service = "a"
    weight  = 50
  }
  forward {
    service = "a"
    weight  = 50
  }
}

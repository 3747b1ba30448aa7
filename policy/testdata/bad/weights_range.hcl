service "a" {}
service "b" {}

route "r" {
  forward {
    service = "a"
    weight  = -10
  }
  forward {
    service = "b"
    weight  = 110.5
  }
}

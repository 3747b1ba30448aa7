service "a" {}
service "b" {}

route "r" {
  forward {
    service = "a"
    weight  = 60
  }
  forward {
    service = "b"
    weight  = 30
  }
}

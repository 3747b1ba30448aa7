service "a" {}
service "b" {}

route "r" {
  forward {
    service = "a"
  }
  forward {
    service = "b"
    weight  = 50
  }
}

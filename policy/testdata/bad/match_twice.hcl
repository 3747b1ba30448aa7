service "a" {}

route "r" {
  match {}
  match {}
  forward {
    service = "a"
  }
}

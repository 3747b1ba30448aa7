service "a" {}

route "r" {
  timeout = "soon"
  forward {
    service = "a"
  }
}

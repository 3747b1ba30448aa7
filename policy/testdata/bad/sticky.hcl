service "a" {}

route "r" {
  sticky = "cookie"
  forward {
    service = "a"
  }
}

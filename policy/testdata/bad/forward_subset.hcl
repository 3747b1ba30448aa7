service "a" {}

route "r" {
  forward {
    service = "a"
    subset  = "canary"
  }
}

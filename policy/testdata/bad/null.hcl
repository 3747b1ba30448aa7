service "a" {}

route "r" {
  class = null
  forward {
    service = "a"
    weight  = null
  }
  retry {
    idempotent = null
  }
}

service "a" {}

route "r" {
  forward {
    service = "a"
  }
  retry {
    attempts   = 4
    idempotent = "always"
  }
  retry {}
}

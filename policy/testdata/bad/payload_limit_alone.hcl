service "a" {}

route "r" {
  match {
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

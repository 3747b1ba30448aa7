service "a" {}

route "r" {
  match {
    when          = "payload.temp > 50"
    payload_limit = "1MiB"
  }
  forward {
    service = "a"
  }
}
route "s" {
  match {
    when          = "payload.temp > 50"
    payload_limit = "128KiB"
  }
  forward {
    service = "a"
  }
}

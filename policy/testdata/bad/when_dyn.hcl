service "a" {}

route "r" {
  match {
    when          = "payload.alarm"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

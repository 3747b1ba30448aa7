service "a" {}

route "r" {
  match {
    when          = "request.path.matches(payload.expr) && matches(device.id, device.expr)"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

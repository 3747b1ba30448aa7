service "a" {}

route "r" {
  match {
    when = "device.tenant"
  }
  forward {
    service = "a"
  }
}

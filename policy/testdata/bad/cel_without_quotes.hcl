service "a" {}

route "r" {
  match {
    when = device.tenant == "a"
  }
  forward {
    service = "a"
  }
}

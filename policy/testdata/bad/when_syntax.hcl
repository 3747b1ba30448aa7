service "a" {}

route "r" {
  match {
    when = "device.id =="
  }
  forward {
    service = "a"
  }
}

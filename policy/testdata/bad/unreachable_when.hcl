service "a" {}
route "first" {
  match {
    path = "/{id}"
    when = "device.id == captures.id"
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
    path = "/{id}"
    when = "device.id == captures.id"
  }
  forward {
    service = "a"
  }
}

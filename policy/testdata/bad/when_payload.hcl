service "a" {}

route "r" {
  match {
    when = "payload.temp > 50"
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  match {
    headers = ["X-Kind"]
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  match {
    when = "request.headers['X-Kind'] == 'a'"
  }
  forward {
    service = "a"
  }
}

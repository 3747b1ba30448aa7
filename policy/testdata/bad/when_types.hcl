service "a" {}

route "r" {
  match {
    when = "request.method == 1"
  }
  forward {
    service = "a"
  }
}

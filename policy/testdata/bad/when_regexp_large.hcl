service "a" {}

route "r" {
  match {
    when = "request.path.matches('(a?){900}')"
  }
  forward {
    service = "a"
  }
}

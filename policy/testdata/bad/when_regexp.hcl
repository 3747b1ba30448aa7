service "a" {}

route "r" {
  match {
    when = "request.path.matches('(a')"
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  match {
    when = "request.metod == 'GET'"
  }
  forward {
    service = "a"
  }
}

service "a" {}

route "r" {
  match {
    path = "/${id}"
  }
  forward {
    service = "a"
  }
}

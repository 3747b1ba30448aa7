service "a" {}

route "r" {
  match {
    path = "/a"
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/{id}"
  }
}

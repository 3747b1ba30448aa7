service "a" {}

route "r" {
  match {
    path = "/{id}/{rest...}"
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/a{rest}"
  }
}

service "a" {}
route "first" {
  match {
    path = "/{rest...}"
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
  }
  forward {
    service = "a"
  }
}

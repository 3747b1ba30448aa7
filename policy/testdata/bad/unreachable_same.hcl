service "a" {}
route "first" {
  match {
    path = "/{id}/a"
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
    path = "/{name}/a"
  }
  forward {
    service = "a"
  }
}

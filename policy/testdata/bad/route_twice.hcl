service "a" {}
route "r" {
  match {
    path = "/a"
  }
  forward {
    service = "a"
  }
}
route "r" {
  match {
    path = "/b"
  }
  forward {
    service = "a"
  }
}

service "a" {}
route "first" {
  match {
    host = "API.example.com."
    path = "/a%20b"
  }
  forward {
    service = "a"
  }
}

route "second" {
  match {
    host = "api.example.com"
    path = "/a b"
  }
  forward {
    service = "a"
  }
}

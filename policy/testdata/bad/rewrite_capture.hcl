service "a" {}

route "r" {
  match {
    path = "/{id}/{rest...}"
  }
  forward {
    service = "a"
  }
  rewrite {
    path        = "/{name}"
    host        = "{name}.example.com"
    set_headers = { "X-Name" = "{name}" }
  }
}

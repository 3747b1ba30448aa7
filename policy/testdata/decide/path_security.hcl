service "a" {}
service "b" {
  timeout = "3s"
}

route "two" {
  match {
    path = "/a/{x}/{y}"
  }
  forward {
    service = "a"
  }
}

route "three" {
  match {
    path = "/a/{x}/{y}/z"
  }
  forward {
    service = "a"
  }
}

route "named" {
  match {
    path = "/files/{rest...}"
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/store/{rest}"
  }
}

route "one" {
  match {
    path = "/one/{x}"
  }
  forward {
    service = "a"
  }
  rewrite {
    path = "/v2/{x}.json"
    set_headers = { "X-Id" = "{x}" }
  }
}

route "space" {
  match {
    path = "/a b/é"
  }
  forward {
    service = "a"
  }
}

route "any" {
  forward {
    service = "a"
  }
}

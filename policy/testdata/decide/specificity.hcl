service "a" {}
service "b" {
  timeout = "3s"
}

route "anything" {
  forward {
    service = "a"
  }
}

route "rest" {
  match {
    path = "/v1/{rest...}"
  }
  forward {
    service = "a"
  }
}

route "capture" {
  match {
    path = "/v1/devices/{id}"
  }
  forward {
    service = "a"
  }
}

route "literal" {
  match {
    path = "/v1/devices/self"
  }
  forward {
    service = "a"
  }
}

route "deep" {
  match {
    path = "/v1/devices/{id}/alarms"
  }
  forward {
    service = "a"
  }
}

route "deeper-literal" {
  match {
    path = "/v1/{kind}/self/alarms"
  }
  forward {
    service = "a"
  }
}

route "slash" {
  match {
    path = "/v1/devices/"
  }
  forward {
    service = "a"
  }
}

route "wild-host" {
  match {
    host = "*.example.com"
    path = "/v1/{rest...}"
  }
  forward {
    service = "a"
  }
}

route "exact-host" {
  match {
    host = "API.example.com"
    path = "/v1/{rest...}"
  }
  forward {
    service = "a"
  }
}

service "a" {}
service "b" {
  timeout = "3s"
}

route "plain" {
  match {
    path = "/x"
  }
  forward {
    service = "a"
  }
}

route "two-headers" {
  match {
    path = "/x"
    headers = { "x-kind" = "alarm", "X-Site" = "*" }
  }
  forward {
    service = "a"
  }
}

route "one-header" {
  match {
    path = "/x"
    headers = { "X-Kind" = "alarm" }
  }
  forward {
    service = "a"
  }
}

route "methods" {
  match {
    path = "/x"
    methods = ["POST", "put"]
  }
  forward {
    service = "a"
  }
}

route "methods-header" {
  match {
    path = "/x"
    methods = ["POST"]
    headers = { "X-Kind" = "alarm" }
  }
  forward {
    service = "a"
  }
}

route "when" {
  match {
    path = "/x"
    when = "device.tenant == 't'"
  }
  forward {
    service = "a"
  }
}

route "first-in-file" {
  match {
    path = "/y"
    when = "true || device.id == 'a'"
  }
  forward {
    service = "a"
  }
}

route "second-in-file" {
  match {
    path = "/y"
    when = "true"
  }
  forward {
    service = "a"
  }
}

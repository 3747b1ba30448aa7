service "a" {}

route "small" {
  match {
    methods       = ["POST"]
    path          = "/both"
    when          = "payload.x == 1"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

route "large" {
  match {
    methods       = ["POST"]
    path          = "/both"
    headers       = { "X-Kind" = "alarm" }
    when          = "payload.x == 1"
    payload_limit = "4KiB"
  }
  forward {
    service = "a"
  }
}

route "takes-all" {
  match {
    methods = ["POST"]
    path    = "/behind"
  }
  forward {
    service = "a"
  }
}

route "behind" {
  match {
    path          = "/behind"
    when          = "payload.x == 1"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

route "takes-some" {
  match {
    methods = ["POST"]
    path    = "/some"
    when    = "device.id == 'a'"
  }
  forward {
    service = "a"
  }
}

route "after-some" {
  match {
    path          = "/some"
    when          = "payload.x == 1"
    payload_limit = "2KiB"
  }
  forward {
    service = "a"
  }
}

service "a" {}

service "quick" {
  timeout = "30ms"
}

route "topics" {
  match {
    path = "/devices/{id}/telemetry"
  }
  forward {
    service = "a"
  }
  batch {
    messages = 1
    bytes    = "2048KiB"
    wait     = "2s"
  }
}

route "headers" {
  match {
    methods = ["POST"]
    path    = "/in/{id}"
  }
  forward {
    service = "a"
    weight  = 50
  }
  forward {
    service = "quick"
    weight  = 50
  }
  rewrite {
    path        = "/events"
    set_headers = { "X-Device" = "{id}" }
  }
  batch {}
}

route "fixed" {
  match {
    path = "/fixed"
  }
  respond {}
  batch {}
}

route "twice" {
  match {
    path = "/twice"
  }
  forward {
    service = "a"
  }
  batch {}
  batch {
    size = 3
  }
}

# The policy of the tests with real Consul: a route for each way to route.

service "echo" { # everywhere: one stable and one canary instance a region
  timeout      = "5s"
  beyond_group = true
  subset "stable" {
    tags = ["stable"]
  }
  subset "canary" {
    tags = ["canary"]
  }
  subset "v2" {
    meta = { version = "2" }
  }
}

service "depot" { # not in eu-2, whose edges prefer eu-1: the same group
  timeout      = "5s"
  beyond_group = true
}

service "slow" { # in eu-1, answers when it is told to
  timeout = "20s"
}

service "web" { # nginx in eu-2, for all
  failover = ["eu-2"]
}

route "path" {
  match {
    path = "/v1/devices/{id}/readings"
  }
  rewrite {
    path                 = "/ingest/{id}"
    set_response_headers = { "X-Route" = "path" }
  }
  forward {
    service = "echo"
  }
}

route "path-literal" {
  match {
    path = "/v1/devices/all/readings"
  }
  rewrite {
    set_response_headers = { "X-Route" = "path-literal" }
  }
  forward {
    service = "echo"
  }
}

route "header" {
  match {
    path    = "/v1/devices/{id}/readings"
    headers = { "X-Version" = "2" }
  }
  rewrite {
    set_response_headers = { "X-Route" = "header" }
  }
  forward {
    service = "echo"
    subset  = "v2"
  }
}

route "cel" {
  match {
    path = "/v1/devices/{id}/commands"
    when = "device.id == captures.id && device.tenant == 'acme' && request.headers['x-mode'] != 'off'"
  }
  rewrite {
    set_response_headers = { "X-Route" = "cel" }
  }
  forward {
    service = "echo"
  }
}

route "payload" {
  match {
    methods       = ["POST"]
    path          = "/v1/telemetry"
    when          = "payload.temperature > 90.0 && payload.unit == 'C'"
    payload_limit = "4KiB"
  }
  class = "high"
  rewrite {
    set_response_headers = { "X-Route" = "payload" }
  }
  forward {
    service = "echo"
  }
}

route "telemetry" {
  match {
    methods = ["POST"]
    path    = "/v1/telemetry"
  }
  class = "bulk"
  rewrite {
    set_response_headers = { "X-Route" = "telemetry" }
  }
  forward {
    service = "echo"
  }
}

route "split" {
  match {
    path = "/split"
  }
  forward {
    service = "echo"
    subset  = "stable"
    weight  = 80
  }
  forward {
    service = "echo"
    subset  = "canary"
    weight  = 20
  }
}

route "sticky" {
  match {
    path = "/sticky"
  }
  sticky = "device"
  forward {
    service = "echo"
    subset  = "stable"
    weight  = 50
  }
  forward {
    service = "echo"
    subset  = "canary"
    weight  = 50
  }
}

route "depot" {
  match {
    path = "/depot"
  }
  retry {
    attempts = 3
  }
  forward {
    service = "depot"
  }
}

route "slow" {
  match {
    path = "/slow"
  }
  forward {
    service = "slow"
  }
}

route "web" {
  match {
    path = "/web/{file...}"
  }
  rewrite {
    path = "/{file}"
  }
  forward {
    service = "web"
  }
}

route "hello" {
  match {
    path = "/hello"
  }
  respond {
    status  = 200
    headers = { "Content-Type" = "text/plain" }
    body    = "this is the edge\n"
  }
}

service "a" {}
service "b" {
  timeout = "3s"
}

route "full" {
  match {
    host = "*.example.com"
    path = "/v1/devices/{id}/{rest...}"
  }
  forward {
    service = "b"
  }
  class   = "critical"
  regions = ["eu-1", "eu-2"]
  rewrite {
    path                    = "/in gest/{id}/{rest}"
    host                    = "{id}.Internal:8080"
    set_headers             = { "x-device" = "dev-{id}", "X-Json" = "{{\"id\":\"{id}\"}}", "X-Fixed" = "1" }
    remove_headers          = ["Cookie", "x-fixed"]
    set_response_headers    = { "X-Served-For" = "{id}", "Cache-Control" = "no-store" }
    remove_response_headers = ["Server", "Set-Cookie"]
  }
}

route "own-timeout" {
  match {
    path = "/own"
  }
  forward {
    service = "b"
  }
  timeout = "1s"
}

route "ten" {
  match {
    path = "/ten"
  }
  forward {
    service = "a"
  }
}

route "fallback" {
  match {
    path = "/v1/devices/{id}/{rest...}"
  }
  forward {
    service = "a"
  }
}

route "health" {
  match {
    path = "/health"
  }
  respond {
    headers = { "content-type" = "text/plain" }
    body    = "ok\n"
  }
}

service "a" {}
service "b" {
  timeout = "3s"
}

route "request" {
  match {
    path = "/request/{id}/{rest...}"
    when = "request.method == 'POST' && request.host == 'h' && request.path == '/request/1/a%2Fb' && request.query == 'q=1'"
  }
  forward {
    service = "a"
  }
}

route "header" {
  match {
    path = "/header/{id}/{rest...}"
    when = "request.headers['x-kind'] == 'a, b' && request.headers.size() == 2 && request.headers.exists(k, k == 'x-one')"
  }
  forward {
    service = "a"
  }
}

route "header-has" {
  match {
    path = "/header-has/{id}/{rest...}"
    when = "has(request.headers.etag) && !('x-no' in request.headers)"
  }
  forward {
    service = "a"
  }
}

route "device" {
  match {
    path = "/device/{id}/{rest...}"
    when = "device.id == 'd1' && device.tenant == 't' && device.size() == 2 && device == {'id': 'd1', 'tenant': 't'}"
  }
  forward {
    service = "a"
  }
}

route "captures" {
  match {
    path = "/captures/{id}/{rest...}"
    when = "captures.id == device.id && captures['rest'] == 'x/y z' && size(captures) == 2"
  }
  forward {
    service = "a"
  }
}

route "payload" {
  match {
    path = "/payload/{id}/{rest...}"
    when = "payload.temp > 50 && payload.tags.exists(t, t == 'x')"
    payload_limit = "64B"
  }
  forward {
    service = "a"
  }
}

route "payload-small" {
  match {
    path = "/payload-small/{id}/{rest...}"
    when = "payload.temp > 50"
    payload_limit = "8B"
  }
  forward {
    service = "a"
  }
}

route "cost" {
  match {
    path = "/cost/{id}/{rest...}"
    when = "payload.all(x, payload.all(y, x + y > 0.0))"
    payload_limit = "16KiB"
  }
  forward {
    service = "a"
  }
}

route "mixed" {
  match {
    path = "/mixed/{id}/{rest...}"
    when = "payload.temp > 50"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

route "type" {
  match {
    path = "/type/{id}/{rest...}"
    when = "payload.temp > 'a'"
    payload_limit = "1KiB"
  }
  forward {
    service = "a"
  }
}

route "map-order" {
  match {
    path = "/map-order/{id}/{rest...}"
    when = "request.headers.all(k, k == 'x-kind' || k == 'etag')"
  }
  forward {
    service = "a"
  }
}

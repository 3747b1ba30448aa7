# The policy of `tidegate dev`: three services, four classes.

service "alarms" {
  timeout      = "3s"
  beyond_group = true # an alarm may leave its group of regions
}

service "telemetry" {
  timeout      = "3s"
  beyond_group = true

  subset "canary" {
    tags = ["canary"]
  }
}

# Firmware is stored in the first region only; the others fetch it there.
service "firmware" {
  timeout      = "3s"
  beyond_group = true
}

route "alarms" {
  match {
    methods = ["POST", "PUT", "PUBLISH"]
    path    = "/v1/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
  rewrite {
    path = "/alarms/{id}"
  }
  retry {
    attempts   = 3
    idempotent = true # alarms carry their own id; receiving one twice is harmless
  }
}

route "telemetry" {
  match {
    methods = ["POST", "PUT", "PUBLISH"]
    path    = "/v1/devices/{id}/telemetry"
  }
  class = "normal"
  forward {
    service = "telemetry"
    weight  = 90
  }
  forward {
    service = "telemetry"
    subset  = "canary"
    weight  = 10
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}

route "overheating" {
  match {
    methods       = ["POST", "PUT", "PUBLISH"]
    path          = "/v1/devices/{id}/telemetry"
    headers       = { "Content-Type" = "application/json" }
    when          = "has(payload.celsius) && payload.celsius > 90.0"
    payload_limit = "4KiB"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}

route "logs" {
  match {
    methods = ["POST", "PUT", "PUBLISH"]
    path    = "/v1/devices/{id}/logs"
  }
  class = "bulk"
  forward {
    service = "telemetry"
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}

route "firmware" {
  match {
    methods = ["GET"]
    path    = "/v1/firmware/{file...}"
  }
  class = "high"
  forward {
    service = "firmware"
  }
}

route "hello" {
  match {
    path = "/hello"
  }
  respond {
    status  = 200
    headers = { "Content-Type" = "text/plain" }
    body    = "tidegate dev is here\n"
  }
}

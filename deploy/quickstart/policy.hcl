# The policy of the quick start.

service "alarms" {
  timeout      = "2s"
  beyond_group = true
}

route "alarms" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
  rewrite {
    path = "/ingest/{id}"
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}

# Only hot readings, and only when the body says so.
route "hot" {
  match {
    methods       = ["POST"]
    path          = "/v1/devices/{id}/telemetry"
    when          = "payload.celsius > 90.0"
    payload_limit = "4KiB"
  }
  class = "high"
  forward {
    service = "alarms"
  }
}

route "telemetry" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/telemetry"
  }
  class = "bulk"
  respond {
    status = 202
    body   = "taken note of\n"
  }
}

# What happens to each message: services, and routes to them. The most specific
# match wins. Check with: tidegate validate policy.hcl
# Ask a running agent with: tidegate explain POST /v1/devices/d1/alarms

service "alarms" {
  timeout      = "2s"
  failover     = "nearest" # within the group, by round-trip time
  beyond_group = true      # then the other regions

  # A part of the service, by Consul tags and metadata; all must match.
  subset "canary" {
    tags = ["canary"]
  }
}

service "telemetry" {
  timeout  = "5s"
  failover = "nearest"
}

service "commands" {
  failover = "none" # stays in its region
}

# Alarms get through first, and one in ten devices tries the new version.
route "alarms" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/alarms"
  }
  class  = "critical"
  sticky = "device"
  forward {
    service = "alarms"
    weight  = 90
  }
  forward {
    service = "alarms"
    subset  = "canary"
    weight  = 10
  }
  rewrite {
    path = "/ingest/{id}"
  }
  retry {
    attempts   = 3
    idempotent = true
  }
}

# Hot readings are worth more than the rest: an expression over the payload.
route "hot-telemetry" {
  match {
    methods       = ["POST"]
    path          = "/v1/devices/{id}/telemetry"
    when          = "payload.temperature > 90.0"
    payload_limit = "16KiB"
  }
  class = "high"
  forward {
    service = "telemetry"
  }
}

# Bulk is the first to wait when a region is short of capacity.
route "telemetry" {
  match {
    methods = ["POST"]
    path    = "/v1/devices/{id}/telemetry"
  }
  class = "bulk"
  forward {
    service = "telemetry"
  }
}

route "commands" {
  match {
    methods = ["GET"]
    path    = "/v1/devices/{id}/commands"
    when    = "device.id == captures.id"
  }
  timeout = "30s"
  forward {
    service = "commands"
  }
}

route "hello" {
  match {
    methods = ["GET"]
    path    = "/hello"
  }
  respond {
    status  = 200
    headers = { "Content-Type" = "text/plain" }
    body    = "this is the edge\n"
  }
}

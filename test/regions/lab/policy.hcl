# The policy of make regions. Every message is idempotent (PUT): what was under
# way to a lost region may be sent again elsewhere.

service "alarms" {
  timeout      = "5s"
  beyond_group = true
}

service "telemetry" {
  timeout      = "5s"
  beyond_group = true
}

service "stock" {
  timeout      = "5s"
  beyond_group = true
}

route "alarms" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
}

route "stock-critical" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/stock/urgent"
  }
  class = "critical"
  forward {
    service = "stock"
  }
}

route "stock" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/stock"
  }
  class = "normal"
  forward {
    service = "stock"
  }
}

route "telemetry" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/telemetry"
  }
  class = "bulk"
  forward {
    service = "telemetry"
  }
}

# What devices of the SDK number, for drills to find out what was lost.
route "numbered" {
  match {
    path = "/devices/{id}/numbered"
  }
  class = "high"
  forward {
    service = "alarms"
  }
}

route "numbered-stock" {
  match {
    path = "/devices/{id}/stock/numbered"
  }
  class = "high"
  forward {
    service = "stock"
  }
}

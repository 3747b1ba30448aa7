# The policy of the drills about overload: every class to one service, so that
# they compete for it. Every message is idempotent (PUT): what was under way to
# a lost region may be sent again elsewhere.

service "ingest" {
  timeout      = "2s"
  beyond_group = true

  # What the sample instances serve at a time. With it agents know what the
  # region can take before it was ever too much.
  limit {
    in_flight = 4
  }
}

route "alarms" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "ingest"
  }
}

route "events" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/events"
  }
  class = "high"
  forward {
    service = "ingest"
  }
}

route "telemetry" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/telemetry"
  }
  class = "normal"
  forward {
    service = "ingest"
  }
}

route "logs" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/logs"
  }
  class = "bulk"
  forward {
    service = "ingest"
  }
}

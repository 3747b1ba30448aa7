# An operator evacuates a region at half load and releases it again.
#
#   tidegate drill run deploy/drills/evacuation.hcl

drill "evacuation" {
  hypothesis = "traffic leaves eu-2 when told, without a failed request, and comes back gently"
  duration   = "55s"

  # A region serves 2 instances x 4 at a time / 40 ms = 200 requests a second.
  mesh {
    regions  = 3
    agents   = 2
    policy   = "overload.policy.hcl"
    latency  = "40ms"
    capacity = 4
    service "ingest" {}
  }

  load {
    rate    = 300 # half of the capacity
    devices = 90
    warm_up = "3s"

    kind "alarms" {
      class  = "critical"
      method = "PUT"
      path   = "/devices/{device}/alarms"
      body   = 120
      weight = 30
    }
    kind "telemetry" {
      class  = "normal"
      method = "PUT"
      path   = "/devices/{device}/telemetry"
      body   = 200
      weight = 35
    }
    kind "logs" {
      class  = "bulk"
      method = "PUT"
      path   = "/devices/{device}/logs"
      body   = 400
      weight = 35
    }
  }

  step "evacuate" {
    at  = "5s"
    for = "12s"
    evacuate {
      region = "eu-2"
      reason = "rehearsal"
    }
  }

  invariant "no request fails" {
    metric   = "success"
    at_least = 100
    samples  = 10000
  }
  invariant "traffic leaves" {
    metric  = "share"
    region  = "eu-2"
    from    = "evacuate+3s"
    until   = "evacuate.end"
    at_most = 1
    samples = 2000
  }
  invariant "it comes back" {
    metric  = "return"
    region  = "eu-2"
    from    = "evacuate.end"
    at_most = 35
  }
  invariant "by a ramp" {
    metric  = "jump"
    region  = "eu-2"
    edge    = "eu-2"
    from    = "evacuate.end"
    at_most = 35
  }
  invariant "without to and fro" {
    metric  = "reversals"
    region  = "eu-2"
    from    = "evacuate.end"
    by      = 10
    at_most = 0
  }
}

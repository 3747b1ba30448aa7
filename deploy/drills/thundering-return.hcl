# A region is out for twelve seconds at half load. Its devices go elsewhere, and
# all of them come back at the same moment, a second after the region.
#
#   tidegate drill run deploy/drills/thundering-return.hcl

drill "thundering-return" {
  hypothesis = "when all devices of eu-2 return at once, it takes them without anything swinging"
  duration   = "50s"

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

  step "out" {
    at  = "5s"
    for = "12s"
    region_outage {
      region = "eu-2"
    }
  }
  step "away" {
    at  = "6s"
    for = "16s"
    devices_leave {
      region = "eu-2"
      over   = "1s"
    }
  }

  invariant "critical success at surviving edges" {
    metric   = "success"
    edges    = "surviving"
    class    = "critical"
    at_least = 99.9
    samples  = 2000
  }
  invariant "critical success from the return on" {
    metric   = "success"
    class    = "critical"
    from     = "away.end"
    at_least = 99.9
    samples  = 1000
  }
  invariant "everything from the return on" {
    metric   = "success"
    from     = "away.end"
    at_least = 99
    samples  = 3000
  }
  invariant "the survivors' own traffic does not swing while it returns" {
    metric  = "swing"
    region  = "us-1"
    edge    = "us-1"
    from    = "away.end"
    at_most = 5
  }
  invariant "eu-2 does not come and go" {
    metric  = "reversals"
    region  = "eu-2"
    from    = "away.end"
    by      = 10
    at_most = 0
  }
  invariant "eu-2 serves its devices again" {
    metric  = "return"
    region  = "eu-2"
    from    = "away.end"
    at_most = 30
    samples = 1000
  }
}

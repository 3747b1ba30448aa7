# One of three regions sinks while all run at 75% of their capacity. Its devices
# connect to the two survivors within two seconds, which then have 112% of what
# they can serve.
#
#   tidegate drill run deploy/drills/region-lost.hcl

drill "region-lost" {
  hypothesis = "when eu-2 sinks at 75% load, the survivors shed bulk before its devices arrive, and alarms get through"
  duration   = "32s"

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
    rate    = 450 # at the three regions together
    devices = 90
    warm_up = "5s"

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

  step "lost" {
    at = "10s"
    region_outage {
      region = "eu-2"
    }
  }
  step "move" {
    at = "11s"
    devices_leave {
      region = "eu-2"
      over   = "2s"
    }
  }

  invariant "critical success at surviving edges, those who moved there included" {
    metric   = "success"
    edges    = "surviving"
    class    = "critical"
    at_least = 99.9
    samples  = 2000
  }
  invariant "critical p99.9 over that before the loss" {
    metric  = "slowdown"
    edges   = "surviving"
    class   = "critical"
    from    = "lost"
    at_most = 3
    samples = 1000
  }
  invariant "every survivor sheds bulk within 1.2 s of the loss" {
    metric  = "first_shed"
    edges   = "surviving"
    class   = "bulk"
    from    = "lost"
    at_most = 1.2
  }
  invariant "nothing was shed before" {
    metric  = "shed"
    until   = "lost"
    at_most = 1
    samples = 3000
  }
  invariant "what is shed is bulk, not telemetry" {
    metric  = "shed"
    edges   = "surviving"
    class   = "normal"
    from    = "lost"
    at_most = 5
  }
  invariant "no more is shed than must be" {
    metric  = "shed"
    edges   = "surviving"
    from    = "move"
    at_most = 25
  }
}

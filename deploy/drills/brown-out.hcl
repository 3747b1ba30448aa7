# A region's capacity shrinks by 5% a second, to 40%; later it is whole again.
#
#   tidegate drill run deploy/drills/brown-out.hcl

drill "brown-out" {
  hypothesis = "while eu-1 fades, what it cannot serve spills to the others, a little at a time, and alarms do not notice"
  duration   = "40s"

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
    rate    = 360 # 60% of the capacity
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

  step "fade" {
    at  = "6s"
    for = "24s"
    capacity {
      region = "eu-1"
      share  = "40%"
      over   = "12s"
    }
  }

  invariant "critical success" {
    metric   = "success"
    class    = "critical"
    at_least = 99.9
    samples  = 3000
  }
  invariant "everything at the other edges" {
    metric   = "success"
    edge     = "eu-2"
    at_least = 99
    samples  = 1000
  }
  invariant "eu-1 spills" {
    metric  = "share"
    region  = "eu-1"
    edge    = "eu-1"
    from    = "fade+14s"
    until   = "fade.end"
    at_most = 85
    samples = 500
  }
  invariant "but not everything" {
    metric   = "share"
    region   = "eu-1"
    edge     = "eu-1"
    from     = "fade+14s"
    until    = "fade.end"
    at_least = 25
    samples  = 500
  }
  invariant "it neither leaps" {
    metric  = "jump"
    region  = "eu-1"
    edge    = "eu-1"
    at_most = 35
  }
  invariant "nor flaps" {
    metric  = "reversals"
    region  = "eu-1"
    edge    = "eu-1"
    by      = 20
    at_most = 1
  }
}

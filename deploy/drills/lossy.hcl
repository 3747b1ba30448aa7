# A fifth of all packets between two regions is lost, and the rest comes up to
# 200 ms later.
#
#   tidegate drill run deploy/drills/lossy.hcl

drill "lossy" {
  hypothesis = "20% loss and 200 ms of jitter between eu-1 and eu-2: no region is given up, nothing flaps"
  duration   = "24s"

  mesh {
    regions = 3
    agents  = 2
    policy  = "region-outage.policy.hcl"

    service "alarms" {}
    service "telemetry" {}

    # eu-1 has no stock of its own: its edge sends to eu-2, the nearest.
    service "stock" {
      regions = ["eu-2", "us-1"]
    }
  }

  load {
    rate    = 300 # at the three edges together
    devices = 60
    warm_up = "2s"

    kind "alarms" {
      class  = "critical"
      method = "PUT"
      path   = "/devices/{device}/alarms"
      body   = 120
      weight = 20
    }
    kind "stock-urgent" {
      class  = "critical"
      method = "PUT"
      path   = "/devices/{device}/stock/urgent"
      body   = 120
      weight = 15
    }
    kind "stock" {
      class  = "normal"
      method = "PUT"
      path   = "/devices/{device}/stock"
      body   = 200
      weight = 35
    }
    kind "telemetry" {
      class  = "bulk"
      method = "PUT"
      path   = "/devices/{device}/telemetry"
      body   = 400
      weight = 30
    }
  }

  step "broken" {
    at  = "4s"
    for = "14s"
    loss {
      from  = "eu-1"
      to    = "eu-2"
      share = "20%"
    }
  }
  step "late" {
    at  = "4s"
    for = "14s"
    latency {
      from   = "eu-1"
      to     = "eu-2"
      delay  = "0s"
      jitter = "200ms"
    }
  }

  invariant "everything succeeds" {
    metric   = "success"
    at_least = 99.9
    samples  = 1500
  }
  invariant "eu-2 is not given up" {
    metric   = "share"
    edge     = "eu-1"
    region   = "eu-2"
    kinds    = ["stock", "stock-urgent"]
    from     = "broken"
    until    = "broken.end"
    at_least = 90
    samples  = 300
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

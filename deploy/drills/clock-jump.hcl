# The clock of an agent jumps an hour ahead, and back.
#
#   tidegate drill run deploy/drills/clock-jump.hcl

drill "clock-jump" {
  hypothesis = "an agent whose clock is off serves its devices and stays in the mesh"
  duration   = "18s"

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

  step "ahead" {
    at  = "4s"
    for = "5s"
    clock_jump {
      agent = "eu-1-agent-1"
      by    = "1h"
    }
  }
  step "behind" {
    at  = "11s"
    for = "4s"
    clock_jump {
      agent = "eu-2-agent-2"
      by    = "-1h"
    }
  }

  invariant "everything succeeds" {
    metric   = "success"
    at_least = 99.9
    samples  = 1500
  }
  invariant "99% of everything succeeds within 1 s" {
    metric   = "success"
    within   = "1s"
    at_least = 99
    samples  = 1500
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

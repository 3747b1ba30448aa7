# The services of a region become ten times as slow, and still pass their
# checks.
#
#   tidegate drill run deploy/drills/slow-region.hcl

drill "slow-region" {
  hypothesis = "services of eu-2 that take 50 ms instead of 5 are slow, and no more"
  duration   = "20s"

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
    for = "10s"
    slow_service {
      region  = "eu-2"
      service = "stock"
      takes   = "50ms"
    }
  }

  invariant "everything succeeds within 1 s" {
    metric   = "success"
    within   = "1s"
    at_least = 99.9
    samples  = 1500
  }
  invariant "other regions do not notice" {
    metric  = "p99"
    edge    = "us-1"
    kinds   = ["alarms", "telemetry"]
    at_most = 100
  }
  invariant "nothing is shed" {
    metric  = "shed"
    at_most = 0.1
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

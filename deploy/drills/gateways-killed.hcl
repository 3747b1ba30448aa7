# The gateways of a region are killed one after another, each started again when
# the next one goes.
#
#   tidegate drill run deploy/drills/gateways-killed.hcl

drill "gateways-killed" {
  hypothesis = "whoever of eu-2 is killed, the region stays in use and another leads it"
  duration   = "24s"

  mesh {
    regions = 3
    agents  = 3
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

  step "first" {
    at  = "4s"
    for = "4s"
    agent_crash {
      agent = "eu-2-agent-1"
    }
  }
  step "second" {
    at  = "9s"
    for = "4s"
    agent_crash {
      agent = "eu-2-agent-2"
    }
  }
  step "third" {
    at  = "14s"
    for = "4s"
    agent_crash {
      agent = "eu-2-agent-3"
    }
  }

  invariant "everything at surviving edges succeeds" {
    metric   = "success"
    edges    = "surviving"
    at_least = 99.9
    samples  = 1500
  }
  invariant "99% of everything at surviving edges succeeds within 1 s" {
    metric   = "success"
    edges    = "surviving"
    within   = "1s"
    at_least = 99
    samples  = 1500
  }
  invariant "the region stays in use" {
    metric   = "share"
    edge     = "eu-1"
    region   = "eu-2"
    kinds    = ["stock", "stock-urgent"]
    at_least = 90
    samples  = 300
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

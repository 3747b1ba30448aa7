# A region is cut off from everything for ten seconds: from the other regions,
# from its devices, its agents from each other, gossip included.
#
#   tidegate drill run deploy/drills/region-outage.hcl

drill "region-outage" {
  hypothesis = "when eu-2 sinks, what needed it succeeds in us-1 within a second, and returns by itself"
  duration   = "38s"

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
    rate    = 400 # at the three edges together
    devices = 60

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

  step "cut" {
    at  = "5s"
    for = "10s"
    region_outage {
      region = "eu-2"
    }
  }

  invariant "99% of what needed the region succeeds elsewhere within 1 s" {
    metric   = "success"
    edges    = "surviving"
    kinds    = ["stock", "stock-urgent"]
    from     = "cut"
    until    = "cut.end"
    within   = "1s"
    at_least = 99
    samples  = 1000
  }
  invariant "99% of everything at surviving edges succeeds within 1 s" {
    metric   = "success"
    edges    = "surviving"
    from     = "cut"
    until    = "cut.end"
    within   = "1s"
    at_least = 99
    samples  = 2000
  }
  invariant "critical success at surviving edges, whole run" {
    metric   = "success"
    edges    = "surviving"
    class    = "critical"
    at_least = 99.9
    samples  = 3000
  }
  invariant "traffic returns after the cut" {
    metric  = "return"
    edges   = "surviving"
    region  = "eu-2"
    kinds   = ["stock", "stock-urgent"]
    from    = "cut.end"
    at_most = 35
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

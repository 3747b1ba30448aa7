# What eu-1 sends to eu-2 is lost; the other way works.
#
#   tidegate drill run deploy/drills/asymmetric-cut.hcl

drill "asymmetric-cut" {
  hypothesis = "when eu-1 is heard by nobody in eu-2, what needed eu-2 succeeds in us-1 within a second"
  duration   = "30s"

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
    for = "8s"
    cut {
      from    = "eu-1"
      to      = "eu-2"
      one_way = true
    }
  }

  invariant "99% of what needed the region succeeds elsewhere within 1 s" {
    metric   = "success"
    edges    = "surviving"
    edge     = "eu-1"
    kinds    = ["stock", "stock-urgent"]
    from     = "broken"
    until    = "broken.end"
    within   = "1s"
    at_least = 99
    samples  = 300
  }
  invariant "99% of everything at surviving edges succeeds within 1s" {
    metric   = "success"
    edges    = "surviving"
    from     = "broken"
    until    = "broken.end"
    within   = "1s"
    at_least = 99
    samples  = 1000
  }
  invariant "critical success at surviving edges, whole run" {
    metric   = "success"
    edges    = "surviving"
    class    = "critical"
    at_least = 99.9
    samples  = 1000
  }
  invariant "traffic returns" {
    metric  = "return"
    edge    = "eu-1"
    region  = "eu-2"
    kinds   = ["stock", "stock-urgent"]
    from    = "broken.end"
    at_most = 18
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

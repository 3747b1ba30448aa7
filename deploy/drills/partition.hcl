# The mesh falls into two parts, two regions here and one there.
#
#   tidegate drill run deploy/drills/partition.hcl

drill "partition" {
  hypothesis = "when us-1 is alone, every part serves its own devices, and the parts find each other again"
  duration   = "28s"

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
      from = "eu-1"
      to   = "us-1"
    }
  }
  step "broken too" {
    at  = "4s"
    for = "8s"
    cut {
      from = "eu-2"
      to   = "us-1"
    }
  }

  invariant "what each part can serve succeeds within 1 s" {
    metric   = "success"
    kinds    = ["alarms", "telemetry"]
    within   = "1s"
    at_least = 99
    samples  = 1000
  }
  invariant "critical success" {
    metric   = "success"
    class    = "critical"
    at_least = 99.9
    samples  = 1000
  }
  invariant "nothing fails when the parts meet" {
    metric  = "failed"
    from    = "broken.end"
    at_most = 0
  }
  invariant "no plan changes twice after one event" {
    metric  = "plan_changes"
    at_most = 1
  }
}

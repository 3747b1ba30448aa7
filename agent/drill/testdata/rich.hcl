drill "rich" {
  hypothesis = "every word of the language is read"
  duration   = "20s"
  mesh {
    regions  = 3
    agents   = 1
    latency  = "20ms"
    capacity = 8
    service "alarms" {
      capacity = 4
    }
  }
  load {
    rate     = 10
    devices  = 12
    tenants  = ["a", "b"]
    warm_up  = "2s"
    deadline = "500ms"
    retry {
      attempts = 3
      hasty    = true
      pause    = "50ms"
    }
    kind "alarm" {
      class  = "critical"
      path   = "/alarms"
      weight = 1
    }
  }
  step "flood" {
    at  = "5s"
    for = "5s"
    load {
      rate   = 20
      kinds  = ["alarm"]
      tenant = "b"
      region = "eu-1"
    }
  }
  step "brown-out" {
    at  = "6s"
    for = "5s"
    capacity {
      region  = "eu-1"
      service = "alarms"
      share   = "40%"
      over    = "2s"
    }
  }
  step "out" {
    at  = "8s"
    for = "4s"
    evacuate {
      region = "eu-2"
      reason = "rehearsal"
    }
  }
  step "away" {
    at  = "9s"
    for = "4s"
    devices_leave {
      region      = "us-1"
      over        = "1s"
      return_over = "500ms"
    }
  }
  invariant "shed" {
    metric   = "shed"
    edge     = "eu-1"
    tenant   = "b"
    from     = "flood+1s"
    until    = "flood.end+500ms"
    at_least = 10
  }
  invariant "turns" {
    metric  = "reversals"
    region  = "eu-1"
    by      = 20
    at_most = 2
  }
}

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
  ledger {
    journals = ["http://10.0.0.7:9001/journal"]
  }
  steady {
    for     = "4s"
    success = 98
    p99     = 400
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
  abort "harm" {
    metric   = "success"
    class    = "critical"
    edge     = "eu-1"
    within   = "1s"
    over     = "3s"
    at_least = 50
    samples  = 5
  }
  abort "usual" {
    metric  = "failed"
    at_most = 100
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
  invariant "nothing is lost in the flood" {
    metric  = "lost"
    kinds   = ["alarm"]
    from    = "flood"
    at_most = 0
  }
  invariant "goroutines" {
    metric  = "prometheus"
    series  = "go_goroutines"
    labels  = { job = "x" }
    take    = "last"
    edge    = "eu-1"
    at_most = 1000
  }
}

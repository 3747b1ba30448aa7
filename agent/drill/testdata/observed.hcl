drill "observed" {
  hypothesis = "the fleet does not notice when eu-2 is evacuated"
  duration   = "60s"
  observe {}
  steady {
    for     = "10s"
    success = 99.5
    p99     = 500
  }
  step "out" {
    at  = "10s"
    for = "20s"
    evacuate {
      region = "eu-2"
    }
  }
  abort "alarms fail" {
    metric   = "success"
    class    = "critical"
    edge     = "eu-1"
    over     = "5s"
    at_least = 99
    samples  = 20
  }
  abort "an agent is full" {
    metric  = "prometheus"
    series  = "tidegate_requests_in_flight"
    take    = "max"
    at_most = 10000
  }
  invariant "eu-2 is left" {
    metric  = "share"
    region  = "eu-2"
    from    = "out+5s"
    until   = "out.end"
    at_most = 1
  }
  invariant "no new plan is refused" {
    metric  = "prometheus"
    series  = "tidegate_policy_loads_total"
    labels  = { result = "refused" }
    take    = "increase"
    at_most = 0
  }
}

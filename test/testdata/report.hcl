# A short drill for the page of its report: something of each sort happens.

drill "report" {
  hypothesis = "when eu-2 fades and a flood comes, bulk waits and alarms get through"
  duration   = "14s"

  mesh {
    regions  = 3
    agents   = 1
    latency  = "40ms"
    capacity = 4
  }

  load {
    rate    = 150
    devices = 30
    warm_up = "1s"
    kind "alarm" {
      class  = "critical"
      path   = "/v1/devices/{device}/alarms"
      body   = 120
      weight = 25
    }
    kind "telemetry" {
      class  = "normal"
      path   = "/v1/devices/{device}/telemetry"
      body   = 200
      weight = 40
    }
    kind "logs" {
      class  = "bulk"
      path   = "/v1/devices/{device}/logs"
      body   = 400
      weight = 35
    }
  }

  steady {
    for     = "3s"
    success = 95
  }

  step "slow" {
    at  = "2s"
    for = "4s"
    slow_service {
      region  = "eu-2"
      service = "alarms"
      takes   = "250ms"
    }
  }
  step "flood" {
    at  = "4s"
    for = "4s"
    load {
      rate  = 700
      kinds = ["logs", "telemetry"]
    }
  }
  step "evacuated" {
    at  = "9s"
    for = "3s"
    evacuate {
      region = "us-1"
    }
  }

  abort "alarms are lost" {
    metric   = "success"
    class    = "critical"
    over     = "2s"
    at_least = 20
  }

  invariant "alarms get through" {
    metric   = "success"
    class    = "critical"
    at_least = 90
  }
  invariant "alarms are never slow" {
    metric  = "p99"
    class   = "critical"
    at_most = 100
  }
  invariant "nothing acknowledged is lost" {
    metric  = "lost"
    at_most = 0
  }
  invariant "no policy is refused" {
    metric  = "prometheus"
    series  = "tidegate_policy_loads_total"
    labels  = { result = "refused" }
    take    = "increase"
    at_most = 0
  }
}

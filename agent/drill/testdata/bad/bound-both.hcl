drill "x" {
  hypothesis = "it holds"
  duration   = "20s"
  load {
    rate    = 10
    devices = 6
    kind "alarm" {
      class  = "critical"
      path   = "/alarms"
      weight = 1
    }
  }
  step "cut" {
    at  = "5s"
    for = "5s"
    region_outage {
      region = "eu-2"
    }
  }
  invariant "works" {
    metric   = "shed"
    at_least = 1
    at_most  = 2
  }
}

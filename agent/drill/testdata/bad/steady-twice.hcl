drill "x" {
  hypothesis = "it holds"
  duration   = "20s"
  load {
    rate    = 10
    devices = 2
    kind "alarm" {
      class  = "critical"
      path   = "/alarms"
      weight = 1
    }
  }
  steady {}
  steady {}
  step "cut" {
    at  = "5s"
    for = "5s"
    region_outage {
      region = "eu-2"
    }
  }
  invariant "works" {
    metric   = "success"
    from     = "cut"
    at_least = 99
  }
}

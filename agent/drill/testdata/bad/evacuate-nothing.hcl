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
    evacuate {
      region = ""
    }
  }
  invariant "works" {
    metric   = "success"
    at_least = 99
  }
}

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
  invariant "works" {
    metric  = "slowdown"
    at_most = 3
  }
}

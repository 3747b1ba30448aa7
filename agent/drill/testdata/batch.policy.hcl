service "alarms" {}

route "alarms" {
  match {
    methods = ["PUBLISH"]
    path    = "/v1/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "alarms"
  }
  rewrite {
    path = "/alarms"
  }
  batch {
    messages = 20
    wait     = "100ms"
  }
}

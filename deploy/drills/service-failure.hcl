# Every instance of a service fails in one region for five seconds, and the two
# regions of its group are 40 ms apart meanwhile. It needs nothing but the
# services of `tidegate dev`, so it runs on a mesh of its own and on a running
# one. What was lost comes back by the ramp of 30 seconds, so it takes a while:
#
#   tidegate drill run deploy/drills/service-failure.hcl
#   tidegate drill run deploy/drills/service-failure.hcl --admin ADDRESS --token TOKEN --ca ca.pem

drill "service-failure" {
  hypothesis = "when alarms fails in eu-1, alarms from there are taken by another region"
  duration   = "46s"

  load {
    rate    = 150
    devices = 30

    kind "alarm" {
      class  = "critical"
      path   = "/v1/devices/{device}/alarms"
      body   = 120
      weight = 60
    }
    kind "telemetry" {
      class  = "normal"
      path   = "/v1/devices/{device}/telemetry"
      body   = 200
      weight = 40
    }
  }

  step "far" {
    at  = "2s"
    for = "10s"
    latency {
      from  = "eu-1"
      to    = "eu-2"
      delay = "20ms"
    }
  }
  step "failure" {
    at  = "4s"
    for = "5s"
    instance_failure {
      region  = "eu-1"
      service = "alarms"
    }
  }

  # Until two checks, a second apart, have failed, a service's own 500 is the
  # answer: at one edge of three, for up to two seconds of the sixteen.
  invariant "alarms get through" {
    metric   = "success"
    class    = "critical"
    from     = "failure"
    within   = "1s"
    at_least = 95
    samples  = 500
  }
  invariant "telemetry does not notice" {
    metric   = "success"
    kinds    = ["telemetry"]
    at_least = 99.9
    samples  = 500
  }
  invariant "eu-1 serves its alarms again" {
    metric  = "return"
    region  = "eu-1"
    kinds   = ["alarm"]
    from    = "failure.end"
    at_most = 35
  }
}

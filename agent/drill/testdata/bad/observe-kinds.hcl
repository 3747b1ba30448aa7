drill "x" {
  hypothesis = "it holds"
  duration   = "20s"
  observe {}
  step "cut" {
    at  = "5s"
    for = "5s"
    region_outage {
      region = "eu-2"
    }
  }
  invariant "works" {
    metric   = "success"
    kinds    = ["alarm"]
    at_least = 99
  }
}

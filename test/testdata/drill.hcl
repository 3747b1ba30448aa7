# Run by a test on a mesh of processes, with real Consul.
drill "cut" {
  hypothesis = "what needed eu-1 succeeds in us-1"
  duration   = "14s"

  load {
    rate    = 60
    devices = 12
    kind "depot" {
      class  = "normal"
      method = "GET"
      path   = "/depot"
      weight = 1
    }
  }

  step "cut" {
    at  = "3s"
    for = "5s"
    region_outage {
      region = "eu-1"
    }
  }

  invariant "what eu-2 needs goes elsewhere" {
    metric   = "share"
    region   = "us-1"
    edge     = "eu-2"
    from     = "cut+2s"
    until    = "cut.end"
    at_least = 100
    samples  = 20
  }
  invariant "and succeeds" {
    metric   = "success"
    edges    = "surviving"
    at_least = 99
    samples  = 200
  }
}

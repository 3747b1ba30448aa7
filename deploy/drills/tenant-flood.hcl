# One of two tenants sends twenty times its alarms for twenty seconds.
#
#   tidegate drill run deploy/drills/tenant-flood.hcl

drill "tenant-flood" {
  hypothesis = "a tenant that floods with critical messages does not starve the other's"
  duration   = "30s"

  # A region serves 2 instances x 2 at a time / 40 ms = 100 requests a second.
  mesh {
    regions  = 3
    agents   = 2
    policy   = "tenant-flood.policy.hcl"
    latency  = "40ms"
    capacity = 2
    service "ingest" {}
  }

  load {
    rate    = 80 # half of it each tenant's
    devices = 60
    tenants = ["acme", "floods"]
    warm_up = "3s"

    kind "alarms" {
      class  = "critical"
      method = "PUT"
      path   = "/devices/{device}/alarms"
      body   = 120
      weight = 1
    }
  }

  step "flood" {
    at  = "5s"
    for = "20s"
    load {
      rate   = 760
      tenant = "floods"
    }
  }

  invariant "the other tenant's success" {
    metric   = "success"
    tenant   = "acme"
    at_least = 99
    samples  = 1000
  }
  invariant "and during the flood" {
    metric   = "success"
    tenant   = "acme"
    from     = "flood"
    until    = "flood.end"
    at_least = 99
    samples  = 700
  }
  invariant "the flood is shed" {
    metric   = "shed"
    tenant   = "floods"
    from     = "flood"
    until    = "flood.end"
    at_least = 40
  }
  invariant "nothing fails" {
    metric  = "failed"
    at_most = 0
    samples = 10000
  }
}

# The policy of the drill tenant-flood.hcl: a tenant is a property of its
# devices' certificates.

service "ingest" {
  timeout      = "2s"
  beyond_group = true
  limit {
    in_flight = 2
  }

  # What a tenant has under way beyond half of the limit ranks below everything
  # within quotas.
  quota {
    by    = "tenant"
    share = "50%"
  }
}

route "alarms" {
  match {
    methods = ["PUT"]
    path    = "/devices/{id}/alarms"
  }
  class = "critical"
  forward {
    service = "ingest"
  }
}

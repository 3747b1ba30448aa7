# A service behind Tidegate, as its team registers it: in /etc/consul.d of the
# machine it runs on. Agents register themselves.
#
# The health check decides whether the instance gets traffic; tags and metadata
# are what the subsets of a policy choose by.
service {
  id      = "alarms-1"
  name    = "alarms"
  address = "10.0.1.21"
  port    = 9001
  tags    = ["v2"]

  meta = {
    version = "2"
  }

  check {
    id       = "alarms-1-http"
    http     = "http://10.0.1.21:9001/health"
    interval = "2s"
    timeout  = "1s"
  }
}

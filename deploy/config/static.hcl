# An agent without Consul: a fixed list of services, watched by health checks,
# and peers by address. The admin API is a unix socket.
name   = "lab-a1"
region = "lab"

listeners {
  admin {
    socket = "/run/tidegate/admin.sock"
  }
}

tls {
  mesh {
    cert = "tls/mesh.pem"
    key  = "tls/mesh.key"
    ca   = "tls/ca.pem"
  }
  edge {
    cert        = "tls/edge.pem"
    key         = "tls/edge.key"
    client_auth = "none" # devices are not asked for a certificate
  }
}

gossip {
  keys           = [file("secrets/gossip.key")]
  retry_join     = ["lab-a2.example.net:7946"]
  retry_join_wan = ["field-a1.example.net:7947"]
}

catalog {
  static {
    service "alarms" {
      instance { address = "127.0.0.1:9001" }
      instance {
        address = "127.0.0.1:9002"
        tags    = ["canary"]
      }
      check {
        path     = "/health"
        interval = "2s"
      }
    }
    service "telemetry" {
      instance { address = "127.0.0.1:9003" }
    }
  }
}

policy {
  file = "policy/policy.hcl"
}

# The least an agent with Consul needs. The name is the host's, Consul is the
# local agent, the admin API is on 127.0.0.1:7400.
region = "eu-1"

listeners {
  admin {
    token = file("secrets/admin.token")
  }
}

tls {
  mesh {
    cert = "tls/mesh.pem"
    key  = "tls/mesh.key"
    ca   = "tls/ca.pem"
  }
  edge {
    cert      = "tls/edge.pem"
    key       = "tls/edge.key"
    client_ca = "tls/ca.pem"
  }
}

gossip {
  keys = [file("secrets/gossip.key")]
}

catalog {
  consul {}
}

policy {
  file = "policy/minimal.hcl"
}

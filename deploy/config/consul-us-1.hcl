# One agent of region us-1, out of three regions with a Consul datacenter each.
# All agents share the gossip key and the mesh authority; they find each other
# through Consul, whose datacenters are joined over WAN.
name   = "us-1-a1"
region = "us-1"
group  = "us"

log {
  format = "json"
}

listeners {
  admin {
    token = file("secrets/admin.token")
  }
  ready {
    addr = ":7401"
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
  consul {
    token = file("secrets/consul.token")
  }
}

policy {
  consul_kv = "tidegate/policy"
}

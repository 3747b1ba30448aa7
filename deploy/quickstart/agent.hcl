# One agent of the quick start. mesh.sh gives every agent a folder with a copy
# of this file beside its certificates and secrets, and the NAME, REGION,
# GROUP and IP of the environment; every agent has an address of its own, so that
# all of them use the default ports on one machine.
name     = env("NAME")
region   = env("REGION")
group    = env("GROUP")
data_dir = "data"

listeners {
  edge {
    addr = "${env("IP")}:7443"
  }
  mesh {
    addr = "${env("IP")}:7444"
  }
  lan {
    addr = "${env("IP")}:7946"
  }
  wan {
    addr = "${env("IP")}:7947"
  }
  admin {
    addr  = "${env("IP")}:7400"
    token = file("../../token")
  }
  egress {
    addr  = "${env("IP")}:7080"
    token = file("../../token")
  }
}

tls {
  mesh {
    cert = "mesh.pem"
    key  = "mesh.key"
    ca   = "../../ca.pem"
  }
  edge {
    cert      = "edge.pem"
    key       = "edge.key"
    client_ca = "../../ca.pem"
  }
}

gossip {
  keys = [file("../../gossip.key")]
}

catalog {
  consul {
    address = env("CONSUL")
  }
}

policy {
  consul_kv = "tidegate/policy"
}

# A Consul server of one datacenter, for trying things out: one server, no TLS.
# In production run three or five, with TLS and the gossip key that
# `consul keygen` makes. Datacenter, addresses and the servers to join over WAN
# come from the command line.
server           = true
bootstrap_expect = 1
data_dir         = "/var/lib/consul"
log_level        = "warn"

ports {
  grpc     = -1
  grpc_tls = -1
}

connect {
  enabled = false
}

acl {
  enabled                  = true
  default_policy           = "deny"
  enable_token_persistence = true
}

performance {
  raft_multiplier = 1
}

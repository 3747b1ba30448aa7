# Configuration of one Tidegate agent: every key, with its default where it has
# one. Keys without a default say "required".
#
# A key is also an environment variable and a flag, which stand over this file:
#   listeners.edge.addr   TIDEGATE_LISTENERS_EDGE_ADDR=:8443   --set listeners.edge.addr=:8443
# Flags stand over the environment, the environment over files, files over
# defaults. Lists are comma-separated outside of files.
#
# env("NAME") and file("PATH") put secrets in; relative paths begin at the
# directory of this file. Check with: tidegate validate agent.hcl

# Unique in the mesh. Default: the host's name up to the first dot.
name = "eu-1-a1"

# Failure domain of the agent; equals the Consul datacenter. Required.
region = "eu-1"

# Regions of one group fail over to each other.
group = "default"

# What must survive a restart: the stateless-reset key, the last known good
# catalog and policy. Must be writable for the agent.
data_dir = "/var/lib/tidegate"

# How long requests in flight may take to finish after SIGTERM; 0s to 1h.
drain_timeout = "30s"

log {
  level  = "info" # debug, info, warn, error
  format = "text" # text, json

  access {
    # Share of successful requests in the access log, 0 to 1; failures and
    # refusals are always there.
    sample = 0.01
  }
}

# Addresses to listen on, "host:port" or ":port". "advertise" is what others
# dial, when that differs (NAT); default: the address itself, with "every
# interface" replaced by the machine's first private address.
listeners {
  # Devices: QUIC (HTTP/3) on UDP, HTTP/2 and HTTP/1.1 on TCP.
  edge {
    addr      = ":7443"
    advertise = ""

    # Serve GET, HEAD and OPTIONS over HTTP/3 in the first flight of a resumed
    # connection (0-RTT). The service is told by Early-Data: 1 and may answer 425.
    early_data = false

    # Layer-4 balancers whose TCP connections, here and at mqtt, begin with a PROXY
    # protocol header of version 2, which names the device.
    # proxy_protocol_from = ["10.0.0.0/8"]

    # QUIC connection IDs by which a balancer finds the agent again (QUIC-LB, not
    # encrypted). Without this block: random ones.
    # quic_lb {
    # config_id = 0 # of this layout at the balancer; 0 to 6
    # server_id = "0a01" # this agent's, in hex; 1 to 15 bytes, as many for all agents
    # nonce_length = 8 # random bytes; 4 to 18, with the server ID at most 19
    # }
  }

  # Devices that speak MQTT over TLS, on a port of its own beside edge, which
  # takes them too. Without this block: not opened.
  mqtt {
    addr = ":8883"
  }

  # Agents of other regions: QUIC on UDP, HTTP/2 on TCP where UDP is blocked.
  mesh {
    addr      = ":7444"
    advertise = ""
    tcp       = true
  }

  # Gossip of the region's agents, UDP and TCP.
  lan {
    addr      = ":7946"
    advertise = ""
  }

  # Gossip between regions, UDP and TCP.
  wan {
    addr      = ":7947"
    advertise = ""
  }

  # Control API and metrics, plain HTTP for this machine: an address with a
  # token of 16 characters or more, or a unix socket (mode 0600) instead.
  admin {
    addr  = "127.0.0.1:7400"
    token = file("secrets/admin.token") # required with addr
    # socket = "/run/tidegate/admin.sock"
    hosts = [] # names allowed in Host, beside loopback names and addr
  }

  # /healthz and /readyz alone, without a token, for load balancers. Without
  # this block: not opened.
  ready {
    addr = ":7401"
  }

  # The way into the mesh for services beside the agent (Host: SERVICE.mesh).
  # Without this block: not opened. Token and socket as in admin.
  egress {
    addr  = "127.0.0.1:7080"
    token = file("secrets/egress.token") # required with addr
    # socket = "/run/tidegate/egress.sock"
    # Who may send commands to devices, by names that the policy knows:
    # clients = ["ops:${env("OPS_TOKEN")}"]
    hosts = []
  }
}

# Certificates in PEM; made by: tidegate tls ca, tidegate tls cert.
tls {
  # What the agent shows other agents. Ed25519; its name is
  # spiffe://TRUST-DOMAIN/region/REGION/agent/NAME.
  mesh {
    cert         = "tls/mesh.pem"      # required
    key          = "tls/mesh.key"      # required
    ca           = "tls/ca.pem"        # required
    trust_domain = "tidegate.internal" # default: that of cert
    deny         = []                  # refused peers: "REGION" or "REGION/AGENT"
  }

  # What the agent shows devices.
  edge {
    cert      = "tls/edge.pem" # required
    key       = "tls/edge.key" # required
    client_ca = "tls/ca.pem"   # authorities of devices; required unless client_auth is none
    # crl       = "tls/revoked.crl" # revocation lists of client_ca, PEM or DER; read again when it changes
    client_auth = "require" # require, optional, none
  }
}

# Devices without a certificate are known by a signed token (Authorization:
# Bearer, or the password of MQTT) where there is a block jwt, by user name and
# password, or by what a service of yours says; all need client_auth optional or
# none.
identity {
  # What names a device in its certificate: {id}, and properties. Patterns are
  # tried in order, those for URI names first; a certificate that fits none is
  # refused. Without this block: spiffe://DOMAIN/device/ID, else the common name.
  # certificate {
  # uri = ["spiffe://fleet.example/tenant/{tenant}/device/{id}"]
  # cn = ["{tenant}-{id}"]
  # }
  # NAME:HASH[:PROPERTY=VALUE,...] a line, hashes of htpasswd -nB; for HTTP Basic
  # and MQTT. Read again when it changes.
  # passwords = "secrets/devices.passwd"
  # jwt {
  # jwks_file = "tls/jwks.json" # the keys that sign, or
  # jwks_url = "https://id.example.com/jwks.json"
  # issuer = "https://id.example.com" # iss; required
  # audience = "tidegate" # one of aud; required
  # device = "sub" # claim with the device's id
  # properties = ["tenant", "type"] # claims that become properties of the device
  # every = "5m" # the keys are read again, 10s to 24h
  # }
  # Asked about user names that are not in passwords, and tokens that are not for
  # jwt: POST {"username", "password"} or {"token"}; see docs/identity.md.
  # hook {
  # url = "https://auth.example.com/device" # required; http:// on this machine alone
  # token = file("secrets/hook.token") # sent as Authorization: Bearer
  # ca_file = "tls/auth.pem" # default: the system's authorities
  # timeout = "2s" # of an answer, 100ms to 30s
  # cache_for = "1m" # a device that was let in is not asked about again, 1s to 24h
  # refused_for = "5s" # nor one that was refused, 1s to 1h
  # max_cached = 10000 # answers of either kind; 1 to 1000000
  # max_in_flight = 64 # questions at a time; 1 to 10000
  # }
  # For development alone: whoever shows it is the device of its user name.
  # dev_token = "0123456789abcdef"
}

gossip {
  # Base64 of 32 bytes each (tidegate keygen), the same everywhere. The first
  # encrypts, all decrypt. Required.
  keys = [file("secrets/gossip.key")]

  # Agents to join by, tried for ever: of this region, of other regions. With
  # Consul agents find each other without them.
  retry_join     = [] # "host:7946"
  retry_join_wan = [] # "host:7947"

  timing = "default" # default; fast for tests on one machine
}

# Where services come from: consul or static, exactly one.
catalog {
  # What is left out comes from the usual CONSUL_* environment.
  consul {
    address         = "127.0.0.1:8500" # or "https://host:8501", "unix:///path"
    token           = ""
    token_file      = "" # instead of token
    namespace       = "" # Consul Enterprise
    partition       = "" # Consul Enterprise
    ca_file         = ""
    cert_file       = ""
    key_file        = ""
    tls_server_name = ""
    check           = "ttl" # how Consul learns of readiness: ttl, http (asks listeners.ready)
    wait_time       = "1m"  # longest blocking query, 10ms to 10m
    distrust_for    = "5m"  # how long a vanished instance is remembered; the last one, until Consul confirms it
    ttl             = "15s" # of the agent's own check, renewed three times as often
    # Consul forgets an agent that was critical for so long; at least 1m.
    deregister_after = "30m"
  }

  # static {
  #   service "alarms" {
  #     instance {
  #       id      = "alarms-1" # default: the address
  #       address = "127.0.0.1:9001"
  #       tags    = ["canary"]
  #       meta    = { version = "2" }
  #     }
  #     check {
  #       path      = "/health"
  #       interval  = "5s"
  #       timeout   = "1s"
  #       healthy   = 2 # passes in a row until ready
  #       unhealthy = 3 # failures in a row until critical
  #     }
  #   }
  # }
}

# Where the policy comes from: file or consul_kv, exactly one. Both are watched.
policy {
  file = "policy/policy.hcl" # or a directory of *.hcl
  # consul_kv = "tidegate/policy"
}

# What devices and peers can make the agent hold. A source is one address, or
# one /64 of IPv6; thousands of devices may share one behind a carrier's NAT.
limits {
  max_header_bytes       = "32KiB"  # of a device request; 1KiB to 1MiB
  max_header_fields      = 128      # of a device request; 10 to 1000
  streams_per_connection = 100      # requests a device has open at once; 1 to 10000
  connections            = 100000   # of devices, in all; 1 to 10000000
  connections_per_source = 10000    # of devices; 1 to 10000000
  handshakes_per_second  = 0        # of devices; those above are refused; 0: 250 for each processor; at most 1000000
  retry_above            = 200      # handshakes a second from which on QUIC clients prove their address
  header_timeout         = "10s"    # for a request's header; 1s to 5m
  body_timeout           = "30s"    # without progress of a request's body; 1s to 10m
  idle_timeout           = "60s"    # of a device connection; keep above the devices' keep-alive; 5s to 1h
  keep_alive             = "25s"    # silence after which QUIC devices are asked for a sign of life; 1s to 5m, 0s: never
  mqtt_packet            = "256KiB" # the largest of a device; 1KiB to 16MiB
  mqtt_in_flight         = 64       # messages under way in a session; 1 to 65535
  mqtt_session_expiry    = "1h"     # the longest that a session outlives its connection; 1s to 168h
  mqtt_keep_alive        = "20m"    # the longest that MQTT 5 devices may ask for; 5s to 18h
  mesh_connections       = 4096     # of other agents; 16 to 1000000
  mesh_streams           = 10000    # requests in one tunnel; 1 to 1000000
  upstream_idle          = 64       # idle connections kept to each local instance; 1 to 10000
}

# For rehearsals (docs/faults.md): takes faults from who shows the token. Each ends
# by itself.
fault {
  enabled = false
  addr    = ":7445" # where agents tell one another, over mutual TLS; the same port at all of them
  token   = ""      # env("TIDEGATE_OPERATOR_TOKEN"): 16 characters or more
}

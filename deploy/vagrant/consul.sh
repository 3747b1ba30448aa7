#!/usr/bin/env bash
# Configures and starts Consul on this machine, as the one server of a trial
# datacenter or as a client of it.
#
#   consul.sh server DATACENTER ADDRESS PKI_DIR [WAN_SERVER...]
#   consul.sh client DATACENTER ADDRESS PKI_DIR LAN_SERVER
#
# A server also makes the agents' token, with deploy/consul/acl-policy.hcl, and
# puts the sample policy into the key-value store when there is none.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
. "$here/common.sh"
need_root
[ $# -ge 4 ] || die "usage: consul.sh server|client DATACENTER ADDRESS PKI_DIR [SERVER...]"
role="$1" datacenter="$2" address="$3" pki="$4"
shift 4
deploy="$here/.."
management="$(cat "$pki/consul.management")"

quoted() { [ $# -eq 0 ] || { printf '"%s", ' "$@" | sed 's/, $//'; }; }

say "Consul $role of $datacenter on $address"
install -d -m 0750 -o root -g consul /etc/consul.d
if [ "$role" = server ]; then
  install -m 0644 "$deploy/consul/server.hcl" /etc/consul.d/server.hcl
  join="retry_join_wan = [$(quoted "$@")]"
  tokens="initial_management = \"$management\""
else
  [ $# -eq 1 ] || die "a client needs one server to join"
  join="retry_join = [$(quoted "$@")]"
  tokens=""
fi
(umask 027 && cat >/etc/consul.d/local.hcl <<HCL
datacenter  = "$datacenter"
node_name   = "$(hostname)"
data_dir    = "/var/lib/consul"
bind_addr   = "$address"
client_addr = "127.0.0.1"
$join

acl {
  enabled        = true
  default_policy = "deny"
  tokens {
    agent = "$management"
    $tokens
  }
}
HCL
)
chgrp consul /etc/consul.d/local.hcl
systemctl enable --quiet consul
systemctl restart consul

export CONSUL_HTTP_TOKEN="$management"
if [ "$role" = client ]; then
  wait_for 120 consul catalog nodes
  exit 0
fi
wait_for 120 consul operator raft list-peers
wait_for 60 consul acl token read -self
if ! consul acl policy read -name tidegate-agent >/dev/null 2>&1; then
  consul acl policy create -name tidegate-agent -rules "@$deploy/consul/acl-policy.hcl" >/dev/null
  consul acl policy create -name tidegate-apply -rules "@$deploy/consul/acl-policy-apply.hcl" >/dev/null
  consul acl token create -description "tidegate agents" -secret "$(cat "$pki/consul.token")" \
    -policy-name tidegate-agent -policy-name tidegate-apply >/dev/null
fi
consul kv get tidegate/policy >/dev/null 2>&1 ||
  consul kv put tidegate/policy "@$deploy/config/policy/policy.hcl"

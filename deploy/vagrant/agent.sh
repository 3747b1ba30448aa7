#!/usr/bin/env bash
# Configures and starts one tidegate agent on this machine, beside its Consul
# client, with the secrets that pki.sh made.
#
#   agent.sh REGION GROUP NAME ADDRESS PKI_DIR
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
. "$here/common.sh"
need_root
[ $# -eq 5 ] || die "usage: agent.sh REGION GROUP NAME ADDRESS PKI_DIR"
region="$1" group="$2" name="$3" address="$4" pki="$5"

say "secrets of $name"
install -d -m 0750 -o root -g tidegate /etc/tidegate /etc/tidegate/tls /etc/tidegate/secrets
private() { install -m 0640 -o root -g tidegate "$1" "/etc/tidegate/$2"; }
for file in mesh.pem mesh.key edge.pem edge.key; do
  private "$pki/$name/$file" "tls/$file"
done
private "$pki/ca.pem" tls/ca.pem
private "$pki/gossip.key" secrets/gossip.key
private "$pki/consul.token" secrets/consul.token
private "$pki/$name/admin.token" secrets/admin.token

say "configuration of $name"
sed -e "s/^name .*/name   = \"$name\"/" \
  -e "s/^region .*/region = \"$region\"/" \
  -e "s/^group .*/group  = \"$group\"/" \
  "$here/../config/consul-eu-1.hcl" >/etc/tidegate/agent.hcl
cat >/etc/tidegate/tidegate.env <<ENV
TIDEGATE_LISTENERS_EDGE_ADVERTISE=$address:7443
TIDEGATE_LISTENERS_MESH_ADVERTISE=$address:7444
TIDEGATE_LISTENERS_LAN_ADVERTISE=$address:7946
TIDEGATE_LISTENERS_WAN_ADVERTISE=$address:7947
ENV
chgrp tidegate /etc/tidegate/agent.hcl /etc/tidegate/tidegate.env
chmod 0640 /etc/tidegate/agent.hcl /etc/tidegate/tidegate.env
set -a
# shellcheck source=/dev/null
. /etc/tidegate/tidegate.env
set +a
tidegate validate /etc/tidegate/agent.hcl

systemctl enable --quiet tidegate
systemctl restart tidegate
wait_for 60 curl -fsS http://127.0.0.1:7401/healthz
say "$name serves devices at https://$address:7443"

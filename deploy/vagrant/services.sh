#!/usr/bin/env bash
# Runs sample services on this machine, answered by nginx, and registers them in
# Consul: what the sample policy routes to.
#
#   services.sh REGION ADDRESS PKI_DIR
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
. "$here/common.sh"
need_root
[ $# -eq 3 ] || die "usage: services.sh REGION ADDRESS PKI_DIR"
region="$1" address="$2" pki="$3"
export CONSUL_HTTP_TOKEN
CONSUL_HTTP_TOKEN="$(cat "$pki/consul.management")"

port=9001
for service in alarms telemetry commands; do
  say "$service on $address:$port"
  cat >"/etc/nginx/conf.d/$service.conf" <<NGINX
server {
  listen $address:$port;
  location = /health { default_type text/plain; return 200 "ok\n"; }
  location / { default_type text/plain; return 200 "$service in $region on $(hostname)\n"; }
}
NGINX
  definition="$(mktemp --suffix=.hcl)"
  cat >"$definition" <<HCL
service {
  id      = "$service-$(hostname)"
  name    = "$service"
  address = "$address"
  port    = $port
  tags    = ["$([ "${HOSTNAME##*-}" = a2 ] && echo canary || echo stable)"]
  check {
    http     = "http://$address:$port/health"
    interval = "2s"
    timeout  = "1s"
  }
}
HCL
  consul services register "$definition"
  rm -f "$definition"
  port=$((port + 1))
done
rm -f /etc/nginx/sites-enabled/default
nginx -t -q
systemctl restart nginx

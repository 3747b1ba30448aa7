#!/usr/bin/env bash
# Has on this machine what the tests need, and nothing that is there already:
# Debian packages, and Consul and Caddy, built from the Go module cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program=package
needed=(nginx=nginx-light gtlsclient=ngtcp2-client shellcheck=shellcheck ruby=ruby
  vagrant=vagrant systemd-analyze=systemd curl=curl haproxy=haproxy mosquitto_pub=mosquitto-clients mosquitto=mosquitto
  ping=iputils-ping)
missing=()
for pair in "${needed[@]}"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    printf 'tools: install these packages: %s\n' "${missing[*]}" >&2
    exit 2
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
fi

# Into the build cache, where "go tool" finds them at once.
if ! command -v consul >/dev/null; then
  printf 'tools: consul (the first time this takes minutes)\n'
  go tool -modfile=test/consul.mod consul version
fi
printf 'tools: caddy\n'
go tool -modfile=test/caddy.mod caddy version

#!/usr/bin/env bash
# Has on this machine what the tests need, and nothing that is there already:
# Debian packages, MQTT.js from npm, and Consul and Caddy, built from the Go
# module cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# program=package
needed=(nginx=nginx-light gtlsclient=ngtcp2-client shellcheck=shellcheck ruby=ruby
  vagrant=vagrant systemd-analyze=systemd curl=curl haproxy=haproxy mosquitto_pub=mosquitto-clients mosquitto=mosquitto
  ping=iputils-ping chromium=chromium unshare=util-linux node=nodejs npm=npm)
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

# MQTT.js, as locked with its checksums.
mqttjs=.cache/mqttjs
if ! cmp -s test/mqttjs/package-lock.json "$mqttjs/installed.json"; then
  printf 'tools: MQTT.js\n'
  mkdir -p "$mqttjs"
  cp test/mqttjs/package.json test/mqttjs/package-lock.json "$mqttjs"
  npm ci --prefix "$mqttjs" --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  cp test/mqttjs/package-lock.json "$mqttjs/installed.json"
fi

# Into the build cache, where "go tool" finds them at once.
if ! command -v consul >/dev/null; then
  printf 'tools: consul (the first time this takes minutes)\n'
  go tool -modfile=test/consul.mod consul version
fi
printf 'tools: caddy\n'
go tool -modfile=test/caddy.mod caddy version

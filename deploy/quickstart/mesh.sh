#!/usr/bin/env bash
# Three regions on this machine: a Consul server, two agents and a service each.
# Everything listens on loopback addresses and keeps its files in one folder.
#
#   mesh.sh secrets          authority, certificates, gossip key, token
#   mesh.sh consul           three Consul servers, joined over WAN
#   mesh.sh agents [REGION]  two agents in each region, or in one
#   mesh.sh services         the service "alarms" in each region, registered
#   mesh.sh kill REGION      SIGKILL to all that runs in a region
#   mesh.sh kill REGION/WHAT ... or to one: consul, alarms, a1, a2
#   mesh.sh down             SIGTERM to everything, which drains the agents
#
# tidegate and consul come from PATH; STATE is the folder (.cache/quickstart).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$(cd "$here/../.." && pwd)"
state="$(realpath -m "${STATE:-$root/.cache/quickstart}")"
regions=(eu-1 eu-2 us-1)

die() {
  printf 'mesh.sh: %s\n' "$*" >&2
  exit 2
}

# number REGION: 1 to 3.
number() {
  local i
  for i in "${!regions[@]}"; do
    [ "${regions[i]}" != "$1" ] || { echo $((i + 1)) && return; }
  done
  die "no region $1: there are ${regions[*]}"
}

# start PART COMMAND...: in the background, with a log and a process id.
start() {
  local part="$1" pid="$state/$1.pid"
  shift
  [ ! -s "$pid" ] || ! kill -0 "$(cat "$pid")" 2>/dev/null || return 0
  mkdir -p "$(dirname "$pid")"
  nohup "$@" >>"$state/$part.log" 2>&1 </dev/null &
  echo $! >"$pid"
}

# stop SIGNAL PART...: and wait until they are gone.
stop() {
  local signal="$1" part pid
  shift
  for part in "$@"; do
    kill -"$signal" "$(cat "$state/$part.pid")" 2>/dev/null || true
  done
  for part in "$@"; do
    pid="$(cat "$state/$part.pid")"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    rm -f "$state/$part.pid"
  done
}

parts() { (cd "$state" && find "${1:-.}" -name '*.pid' | sed 's|^\./||; s|\.pid$||'); }

# retry COMMAND...: until it succeeds, for half a minute.
retry() {
  local deadline=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "gave up waiting for: $* (the logs are in $state)"
    sleep 0.2
  done
}

secrets() {
  local region agent dir n
  mkdir -p "$state" && chmod 700 "$state" && cd "$state"
  tidegate tls ca
  tidegate tls cert device --id d1
  tidegate keygen --out gossip.key
  tidegate keygen --out token
  for region in "${regions[@]}"; do
    n="$(number "$region")"
    for agent in a1 a2; do
      dir="$region/$agent"
      tidegate tls cert mesh --region "$region" --name "$region-$agent" --out "$dir"
      tidegate tls cert edge --host localhost --host "127.0.1.$n${agent#a}" --out "$dir"
      cp "$here/agent.hcl" "$dir/"
    done
  done
}

consul_servers() {
  local region n
  for region in "${regions[@]}"; do
    n="$(number "$region")"
    start "$region/consul" consul agent -dev -datacenter "$region" -node "$region" \
      -bind "127.0.1.$n" -client "127.0.1.$n" -log-level warn \
      -retry-join-wan 127.0.1.1 -retry-join-wan 127.0.1.2 -retry-join-wan 127.0.1.3
  done
  for region in "${regions[@]}"; do
    retry curl -fsS "http://127.0.1.1:8500/v1/catalog/nodes?dc=$region"
  done
  consul members -wan -http-addr=http://127.0.1.1:8500
}

agents() {
  local region agent n
  for region in "$@"; do
    n="$(number "$region")"
    for agent in a1 a2; do
      start "$region/$agent" env NAME="$region-$agent" REGION="$region" GROUP="${region%-*}" \
        IP="127.0.1.$n${agent#a}" CONSUL="127.0.1.$n:8500" tidegate agent --config "$state/$region/$agent/agent.hcl"
      retry curl -fsS "http://127.0.1.$n${agent#a}:7400/healthz"
    done
  done
}

healthy() {
  curl -fsS "http://127.0.1.$(number "$1"):8500/v1/health/service/alarms?passing" | grep -q alarms
}

services() {
  local region n
  (cd "$root" && go build -buildvcs=false -o "$state/hello" ./deploy/quickstart/hello)
  for region in "${regions[@]}"; do
    n="$(number "$region")"
    start "$region/alarms" "$state/hello" "127.0.1.$n:9001" "alarms in $region"
    retry curl -fsS "http://127.0.1.$n:9001/health"
    curl -fsS -X PUT "http://127.0.1.$n:8500/v1/agent/service/register" -d @- <<JSON
{"Name": "alarms", "Address": "127.0.1.$n", "Port": 9001,
 "Check": {"HTTP": "http://127.0.1.$n:9001/health", "Interval": "1s", "Timeout": "500ms"}}
JSON
  done
  for region in "${regions[@]}"; do
    retry healthy "$region"
  done
}

main() {
  local running
  case "${1:-}" in
    secrets) secrets ;;
    consul) consul_servers ;;
    agents) shift && agents "${@:-${regions[@]}}" ;;
    services) services ;;
    kill)
      [ $# -eq 2 ] || die "kill what: REGION or REGION/WHAT"
      number "${2%%/*}" >/dev/null
      if [ -s "$state/$2.pid" ]; then running="$2"; else running="$(parts "$2")"; fi
      mapfile -t running <<<"$running"
      stop KILL "${running[@]}"
      ;;
    down)
      mapfile -t running < <(parts)
      stop TERM "${running[@]}"
      ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
  esac
}
main "$@"

#!/usr/bin/env bash
# Makes the secrets of a trial mesh, once: an authority, a mesh and an edge
# certificate for each agent, the gossip key and the tokens. Run again, it adds
# what is missing. Needs tidegate in $TIDEGATE, bin/tidegate or PATH.
#
#   pki.sh DIR REGION/NAME=ADDRESS...
#   pki.sh .cache/pki eu-1/eu-1-a1=192.168.56.11
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
. "$here/common.sh"

[ $# -ge 2 ] || die "usage: pki.sh DIR REGION/NAME=ADDRESS..."
dir="$1"
shift

tidegate="${TIDEGATE:-$here/../../bin/tidegate}"
[ -x "$tidegate" ] || tidegate="$(command -v tidegate)" || die "no tidegate: make build, or set TIDEGATE"

mkdir -p "$dir"
chmod 700 "$dir"
[ -s "$dir/ca.pem" ] || "$tidegate" tls ca --out "$dir"
write_secret "$dir/gossip.key" "$tidegate" keygen
write_secret "$dir/consul.management" random_uuid
write_secret "$dir/consul.token" random_uuid

for agent in "$@"; do
  region="${agent%%/*}"
  name="${agent#*/}"
  address="${name#*=}"
  name="${name%%=*}"
  out="$dir/$name"
  authority=(--ca "$dir/ca.pem" --ca-key "$dir/ca.key" --out "$out")
  [ -s "$out/mesh.pem" ] ||
    "$tidegate" tls cert mesh "${authority[@]}" --region "$region" --name "$name"
  [ -s "$out/edge.pem" ] ||
    "$tidegate" tls cert edge "${authority[@]}" --host "$name,localhost,127.0.0.1,$address"
  write_secret "$out/admin.token" random_uuid
done
[ -s "$dir/device.pem" ] ||
  "$tidegate" tls cert device --ca "$dir/ca.pem" --ca-key "$dir/ca.key" --out "$dir" --id trial-device

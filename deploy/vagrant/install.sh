#!/usr/bin/env bash
# Puts tidegate and Consul on a Debian machine: users, binaries, systemd units,
# UDP buffers. Starts nothing. Binaries come from bin/ of the repository (make
# build, make bin/consul), or else from PATH; Consul, when it is in neither, from
# its vendor's releases.
#
#   install.sh
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=common.sh
. "$here/common.sh"
need_root
deploy="$here/.."
bin="$here/../../bin"

consul_version="${CONSUL_VERSION:-1.22.2}"
consul_releases="https://releases.hashicorp.com/consul"

download_consul() {
  local arch archive temp
  arch="$(dpkg --print-architecture)"
  archive="consul_${consul_version}_linux_${arch}.zip"
  temp="$(mktemp -d)"
  (
    cd "$temp"
    curl -fsSLO "$consul_releases/$consul_version/$archive"
    curl -fsSLO "$consul_releases/$consul_version/consul_${consul_version}_SHA256SUMS"
    grep " $archive\$" "consul_${consul_version}_SHA256SUMS" | sha256sum -c -
    unzip -q "$archive" consul
    install -m 0755 consul /usr/local/bin/consul
  )
  rm -rf "$temp"
}

say "packages"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends ca-certificates curl unzip nginx-light >/dev/null

say "users"
for user in tidegate consul; do
  id -u "$user" >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir "/var/lib/$user" --shell /usr/sbin/nologin "$user"
done

say "binaries"
for name in tidegate consul; do
  if [ -x "$bin/$name" ]; then
    install -m 0755 "$bin/$name" "/usr/local/bin/$name"
  elif ! command -v "$name" >/dev/null; then
    [ "$name" = consul ] || die "no $name: make build first"
    download_consul
  fi
done

say "systemd and sysctl"
install -m 0644 "$deploy/systemd/tidegate.service" "$deploy/systemd/consul.service" /etc/systemd/system/
install -m 0644 "$deploy/sysctl.d/tidegate.conf" /etc/sysctl.d/60-tidegate.conf
sysctl -q -p /etc/sysctl.d/60-tidegate.conf || say "sysctl refused: set the UDP buffers on the host"
systemctl daemon-reload

# shellcheck shell=bash
# What the provisioning scripts share; sourced by them.

say() { printf '== %s\n' "$*"; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 2
}

need_root() {
  [ "$(id -u)" -eq 0 ] || die "run it as root"
}

# random_uuid prints a version 4 UUID, as Consul wants its tokens.
random_uuid() { cat /proc/sys/kernel/random/uuid; }

# write_secret FILE COMMAND...: keeps the output of a command in a file of mode
# 0600, unless the file is there.
write_secret() {
  local file="$1"
  shift
  [ -s "$file" ] && return
  (umask 077 && "$@" >"$file.new" && mv "$file.new" "$file")
}

# wait_for SECONDS COMMAND...: runs a command until it succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || die "gave up waiting for: $*"
    sleep 0.5
  done
}

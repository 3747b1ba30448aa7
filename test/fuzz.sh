#!/usr/bin/env bash
# Runs every fuzz target for a few seconds: fuzz.sh [SECONDS]. Fails at the first
# one that finds something; what it found is kept under the package's testdata.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds="${1:-3}"

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do
  targets="$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' || true)"
  for target in $targets; do
    printf '== %s %s\n' "${dir#"$PWD"/}" "$target"
    go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" -parallel 2 </dev/null
  done
done

#!/usr/bin/env bash
# Runs every fuzz target for a number of inputs: fuzz.sh [INPUTS]. Fails at the
# first one that finds something; what it found is kept under the package's
# testdata. Counted, not timed: a timed run of the Go fuzzer can fail with
# "context deadline exceeded" although nothing was found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
inputs="${1:-5000}"

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... | while read -r dir; do
  targets="$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | sed 's/^func //' || true)"
  for target in $targets; do
    printf '== %s %s\n' "${dir#"$PWD"/}" "$target"
    go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "${inputs}x" -fuzzminimizetime 100x -parallel 2 </dev/null
  done
done

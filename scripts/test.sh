#!/usr/bin/env bash
# Makes the named parts one after the other, says how long each took, and ends with what could not run:
# scripts/test.sh PART…   Stops at the first part that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/say.sh

CARILLON_MISSING=$(mktemp)
export CARILLON_MISSING
trap 'rm -f "$CARILLON_MISSING"' EXIT

for part in "$@"; do
  say "== $part"
  began=$SECONDS
  make --no-print-directory "$part" || { say "FAILED: make $part"; exit 1; }
  say "== $part: good, $((SECONDS - began)) s"
done

if [ -s "$CARILLON_MISSING" ]; then
  say "all that ran is good after $SECONDS s, BUT THIS DID NOT RUN:"
  sort -u "$CARILLON_MISSING" >&2
else
  say "everything is good: $* ($SECONDS s)"
fi

#!/usr/bin/env bash
# Makes the named parts one after the other, says how long each took, and ends with what could not run:
# scripts/test.sh PART…   Stops at the first part that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/say.sh

NOT_RUN=$(mktemp)
export NOT_RUN
trap 'rm -f "$NOT_RUN"' EXIT

for part in "$@"; do
  say "== $part"
  began=$SECONDS
  make --no-print-directory "$part" || { say "FAILED: make $part"; exit 1; }
  say "== $part: good, $((SECONDS - began)) s"
done

if [ -s "$NOT_RUN" ]; then
  say "all that ran is good after $SECONDS s, BUT THIS DID NOT RUN:"
  sort -u "$NOT_RUN" >&2
else
  say "everything is good: $* ($SECONDS s)"
fi

#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL: scripts/with-postgres.sh COMMAND [ARGUMENT]…
#
# The command finds the server's address, without a database name, in TEST_POSTGRES, and psql in its PATH; set the
# variable yourself to use a server of your own. Where PostgreSQL cannot be had, the command runs without the variable, and that is noted.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/say.sh"

# The folder of the newest installed server; Debian keeps them out of PATH.
server_bin() {
  local postgres
  postgres=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
  if [ -z "$postgres" ]; then postgres=$(command -v postgres || true); fi
  if [ -n "$postgres" ]; then dirname "$(readlink -f "$postgres")"; fi
}

stop() {
  if [ -n "${server:-}" ]; then
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$dir"
}

start() {
  bin=$(server_bin)
  if [ -z "$bin" ]; then
    "$here/apt.sh" postgresql || return 1
    bin=$(server_bin)
  fi
  dir=$(mktemp -d /tmp/carillon-pg.XXXXXX)
  trap stop EXIT
  export PATH="$PATH:$bin"
  "$here/postgres.sh" "$dir" >"$dir/server.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if pg_isready -q -h "$dir" -U postgres; then
      export TEST_POSTGRES="postgres://postgres@${dir//\//%2F}"
      say "PostgreSQL $(postgres --version | grep -o '[0-9.]*' | head -n 1) is ready"
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$dir/server.log" >&2
  return 1
}

if [ -z "${TEST_POSTGRES:-}" ]; then
  start || missing "the tests on PostgreSQL: no server could be installed or started"
fi
"$@"

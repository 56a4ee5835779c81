#!/usr/bin/env bash
# Runs PostgreSQL in DIR until it is stopped by a signal, and makes its files if there are none: scripts/postgres.sh DIR
#
# It is reached through a socket in DIR alone: no port to collide, nobody else can connect. Its programs are in PATH.
set -euo pipefail
dir=$(readlink -f "$1")
cd "$dir"

# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  owner=$(id -un postgres 2>/dev/null || echo nobody)
  chown "$owner" "$dir"
  as=(setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups)
fi
[ -d data ] || "${as[@]}" initdb -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync
# Nothing here need outlive a crash of the machine.
exec "${as[@]}" postgres -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=300

#!/usr/bin/env bash
# Installs Debian packages: scripts/apt.sh PACKAGE… Exits 1, with the reason, where that is not possible.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/say.sh"

command -v apt-get >/dev/null || { say "install by hand: $* (no apt-get here)"; exit 1; }
as_root=()
if [ "$(id -u)" != 0 ]; then
  sudo -n true 2>/dev/null || { say "install by hand: sudo apt-get install $*"; exit 1; }
  as_root=(sudo -n)
fi
say "installing $*"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq >&2
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2

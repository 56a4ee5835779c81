#!/usr/bin/env bash
# cargo, or a sentence about how to get it. SQLite and ring are built from C, which needs a compiler: it is installed where it is missing.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/say.sh"

command -v cargo >/dev/null || { say "Rust is missing: install it from https://rustup.rs"; exit 1; }
command -v cc >/dev/null || "$here/apt.sh" gcc libc6-dev
exec cargo "$@"

#!/usr/bin/env bash
# Runs the Rust tests with cargo-nextest, or with `cargo test` where that is not installed: scripts/nextest.sh [OPTION]…
# Only options that both understand are passed (--workspace, --lib, --bins, --test NAME, --package NAME).
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")

if command -v cargo-nextest >/dev/null; then
  exec "$here/cargo.sh" nextest run --no-fail-fast --status-level "${NEXTEST_STATUS_LEVEL:-slow}" "$@"
fi
exec "$here/cargo.sh" test --no-fail-fast "$@"

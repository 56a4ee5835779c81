# Sourced by the other scripts: how they speak, and where they note what could not run.

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }

# Notes that something was not tested, and why. `make test` repeats the notes in its last lines.
missing() {
  say "NOT RUN: $*"
  if [ -n "${NOT_RUN:-}" ]; then printf '%s\n' "$*" >>"$NOT_RUN"; fi
}

# Where downloads that outlive a clean tree are kept.
cache_dir() { printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/carillon"; }

#!/usr/bin/env bash
# Builds the lean static binary: link-time optimised, one codegen unit, no shared library needed.
# Prints its path. Arguments go to cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
host="$(rustc -vV | sed -n 's/^host: //p')"
# The target is named so that the flag reaches the binary alone, not macros and build scripts, which
# are loaded into the compiler and cannot be static.
RUSTFLAGS="-C target-feature=+crt-static ${RUSTFLAGS:-}" cargo build --release --locked --target "$host" "$@" >&2
echo "target/$host/release/sidecache"

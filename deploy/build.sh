#!/usr/bin/env bash
# Builds the lean static binary: link-time optimised, one codegen unit, no shared library needed. Nothing in it
# tells where it was built: the same sources, compiler and C library should give the same bytes.
# Prints its path. Arguments go to cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
host="$(rustc -vV | sed -n 's/^host: //p')"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
sysroot="$(rustc --print sysroot)"
# Panics name the file they come from; not whose directory it lies in.
remap="--remap-path-prefix=$PWD=/sidecache --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
# Relocations of a position-independent binary take a few kilobytes in place of 300.
relr="-C link-arg=-Wl,-z,pack-relative-relocs"
# The target is named so that the flags reach the binary alone, not macros and build scripts, which
# are loaded into the compiler and cannot be static.
CFLAGS="-ffile-prefix-map=$cargo_home=/cargo ${CFLAGS:-}" \
  RUSTFLAGS="-C target-feature=+crt-static $relr $remap ${RUSTFLAGS:-}" \
  cargo build --release --locked --target "$host" "$@" >&2
echo "${CARGO_TARGET_DIR:-target}/$host/release/sidecache"

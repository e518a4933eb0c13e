#!/usr/bin/env bash
# Writes the bill of materials of the program that build.sh makes (CycloneDX 1.5): each crate with its version,
# licence and checksum. Prints its path.
#
#   deploy/sbom.sh [FILE]     sidecache.cdx.json where no file is named
set -euo pipefail
out=$(realpath -m "${1:-sidecache.cdx.json}")
cd "$(dirname "$0")/.."

wanted=0.5 # earlier ones know no CycloneDX 1.5
if ! cargo cyclonedx --version 2>/dev/null | grep -q " $wanted\."; then
  echo "sbom: cargo-cyclonedx $wanted is needed: cargo install --locked cargo-cyclonedx@^$wanted" >&2
  exit 1
fi
made=sidecache-bill # it can only be named, not placed
trap 'rm -f "$made.json"' EXIT
# The same commit gives the same file, whenever and wherever it is made.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) cargo cyclonedx --quiet --format json --spec-version 1.5 \
  --no-build-deps --target "$(rustc -vV | sed -n 's/^host: //p')" --override-filename "$made"
sed "s|path+file://$PWD#|path+file:///sidecache#|g" "$made.json" >"$out"
echo "$out"

#!/usr/bin/env bash
# Writes .sqlx/ (or $SQLX_OUT) anew: migrates the empty database of DATABASE_URL, checks every query against it and keeps
# what it said. `make prepare` gives it a throw-away database.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?run \`make prepare\`, or set DATABASE_URL to an empty database}"
out=${SQLX_OUT:-$PWD/.sqlx}

cargo run --quiet --package e2e --bin migrate

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The macros write only while they expand.
touch hub/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$work cargo check --quiet --package trastienda-hub
mkdir -p "$out"
rm -f "$out"/query-*.json
cp "$work"/query-*.json "$out"/
echo "$(ls "$out" | wc -l) queries in $out"

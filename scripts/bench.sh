#!/usr/bin/env bash
# The comparisons: the programs as they are installed, everything on this machine. `scripts/bench.sh mail` measures one
# part.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
cargo build --workspace --bins --lib --release
exec "${CARGO_TARGET_DIR:-target}/release/bench" "$@"

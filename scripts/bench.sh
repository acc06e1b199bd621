#!/usr/bin/env bash
# The comparisons: optimised programs, everything on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
cargo build --workspace --bins --lib --profile ci
exec "${CARGO_TARGET_DIR:-target}/ci/bench" "$@"

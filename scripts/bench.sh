#!/usr/bin/env bash
# The comparisons: optimised programs, everything on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
cargo build --workspace --bins --lib --profile ci
exec cargo run --quiet --profile ci --package e2e --bin bench

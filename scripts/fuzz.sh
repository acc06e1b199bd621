#!/usr/bin/env bash
# Every fuzz target for so many seconds (600), one after the other, from a seed of today; see hub/tests/it/fuzz/mod.rs. What showed
# something new, and what failed, is in hub/tests/fuzz/ afterwards, to be looked at and committed.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true FUZZ_SECONDS=${1:-600} FUZZ_SEED=${FUZZ_SEED:-$(date +%Y%m%d)}
exec scripts/postgres.sh cargo test --workspace --test it -- --test-threads=2 --nocapture fuzz::

#!/usr/bin/env bash
# Every misfortune by a seed, and every promise held against a ledger afterwards; see docs/reliability.md. The programs are
# built with optimisation, as they run at a shop. Without arguments: a seed of today and 150 steps.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --workspace --bins --lib --profile ci
if (($# == 0)); then
  set -- --seed "$(date +%Y%m%d)" --steps 150
fi
exec "${CARGO_TARGET_DIR:-target}/ci/chaos" "$@"

#!/usr/bin/env bash
# Builds what the demonstration needs and runs it: `scripts/demo.sh [--stay]`.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
echo 'Compila los programas y la extensión (la primera vez, unos minutos) / building'
cargo build --workspace --bins --lib
exec cargo run --quiet --package e2e --bin demo -- "$@"

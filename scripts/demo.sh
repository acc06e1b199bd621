#!/usr/bin/env bash
# Builds what the demonstration needs and runs it: `scripts/demo.sh [--stay]`.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
echo 'Compila los programas y la extensión (la primera vez, unos minutos) / building'
cargo build --workspace --bins --lib
# Not by `cargo run`: for one package alone it would compile half of the dependencies again, with other features.
exec "${CARGO_TARGET_DIR:-target}/debug/demo" "$@"

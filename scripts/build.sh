#!/usr/bin/env bash
# Builds every program and the extension, in the profile that the tests use, so that nothing is compiled twice.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
cargo build --workspace --all-targets

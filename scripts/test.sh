#!/usr/bin/env bash
# Every Rust, PHP and end-to-end test. Each part's last lines are what its runner prints.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
target=${CARGO_TARGET_DIR:-$PWD/target}
export TRASTIENDA_SO=$target/debug/libtrastienda.so
export TRASTIENDA_BIN=$target/debug

step() { printf '\n== %s\n' "$*"; }

scripts/build.sh
step "the extension: PHP's own runner"
php-ext/run-tests.sh "$TRASTIENDA_SO"
step 'the package, without and with the extension'
phpunit -c composer
php -d extension="$TRASTIENDA_SO" "$(command -v phpunit)" -c composer
step 'the example shops'
phpunit -c examples
step 'Rust, and the whole with real processes'
if cargo nextest --version >/dev/null 2>&1; then
  scripts/postgres.sh cargo nextest run --workspace --no-fail-fast
else
  # One after the other: threads of one process share what nextest's processes have for themselves, as a lock that a child
  # of the neighbour inherits for the moment before it becomes another program.
  echo 'cargo-nextest is not installed, which would be several times faster: cargo install cargo-nextest --locked'
  scripts/postgres.sh cargo test --workspace --no-fail-fast -- --test-threads=1
fi

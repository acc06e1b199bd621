#!/usr/bin/env bash
# Every Rust, PHP and end-to-end test. Each part's last lines are what its runner prints.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true
target=${CARGO_TARGET_DIR:-$PWD/target}
export TRASTIENDA_SO=$target/debug/libtrastienda.so

scripts/build.sh
php-ext/run-tests.sh "$TRASTIENDA_SO"
phpunit -c composer
php -d extension="$TRASTIENDA_SO" "$(command -v phpunit)" -c composer
phpunit -c examples
scripts/postgres.sh cargo nextest run --workspace --no-fail-fast

#!/usr/bin/env bash
# What is too long for `make test`: ten minutes of misfortune by a seed of today (or `scripts/soak.sh --seed N --seconds S`),
# 10,000 payments under every fault at once, and the extension's memory under valgrind where that is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
scripts/build.sh
if command -v valgrind >/dev/null; then
  php-ext/check-memory.sh "$target/debug/libtrastienda.so"
else
  echo 'valgrind is not installed: the memory of the extension is not checked'
fi
if (($# == 0)); then
  set -- --seed "$(date +%Y%m%d)"
fi
"$target/debug/payments-under-fire" --seed "$(date +%Y%m%d)" --payments "${PAYMENTS:-10000}"
exec "$target/debug/soak" "$@"

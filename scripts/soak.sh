#!/usr/bin/env bash
# What is too long for `make test`: ten thousand deliveries and ten thousand payments under every fault at once, five
# thousand that agents pull, ten minutes
# of misfortune by a seed of today (or `scripts/soak.sh --seed N --seconds S`), and the extension's memory under valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
scripts/build.sh
if command -v valgrind >/dev/null; then
  php-ext/check-memory.sh "$target/debug/libtrastienda.so"
else
  echo 'valgrind is not installed: the memory of the extension is not checked'
fi
seed=$(date +%Y%m%d)
"$target/debug/faults" --seed "$seed" --deliveries 10000
"$target/debug/faults" --hanging 5000
"$target/debug/faults" --seed "$seed" --pulled 5000
if (($# == 0)); then
  set -- --seed "$seed"
fi
"$target/debug/payments-under-fire" --seed "$seed" --payments "${PAYMENTS:-10000}"
exec "$target/debug/soak" "$@"

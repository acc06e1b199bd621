#!/usr/bin/env bash
# What is too long for `make test`: ten thousand deliveries through faults of hub and database, and ten minutes of misfortune by a seed of today (or `scripts/soak.sh --seed N --seconds S`),
# and the extension's memory under valgrind where that is installed.
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
if (($# == 0)); then
  set -- --seed "$seed"
fi
exec "$target/debug/soak" "$@"

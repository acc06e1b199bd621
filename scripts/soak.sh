#!/usr/bin/env bash
# What is too long for `make test`: the extension's memory (valgrind over every path, a million calls), ten thousand deliveries
# and ten thousand payments under every fault at once, five thousand that agents pull, mails through kills, and two thousand kills of agent, hub and PostgreSQL
# by a seed of today (or `scripts/soak.sh --seed N --kills N`); every answer against the published document, and every fuzz target for ten minutes. Before that: the deployment, for real (Docker Compose, a host of its
# own for deploy/install.sh; SKIP_COMPOSE=1 leaves both out), and two versions side by side (OLDER=COMMIT).
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}/ci
cargo build --workspace --bins --lib --profile ci
scripts/soak/compose.sh
scripts/soak/install.sh
scripts/soak/upgrade.sh ${OLDER:+"$OLDER"}
if command -v valgrind >/dev/null; then
  php-ext/check-memory.sh "$target/libtrastienda.so"
else
  echo 'NOT RUN: valgrind is not installed: the memory of the extension is not checked'
fi
php-ext/check-growth.sh "$target/libtrastienda.so" "${CALLS:-1000000}"
seed=$(date +%Y%m%d)
"$target/faults" --seed "$seed" --deliveries 10000
"$target/faults" --hanging 5000
"$target/faults" --away 75
"$target/faults" --seed "$seed" --pulled 5000
"$target/payments-under-fire" --seed "$seed" --payments "${PAYMENTS:-10000}"
SCHEMATHESIS_EXAMPLES=${EXAMPLES:-200} SCHEMATHESIS_SEED=$seed cargo test --workspace --test e2e -- schema_holds
scripts/fuzz.sh "${FUZZ_SECONDS:-600}"
if (($# == 0)); then
  set -- --seed "$seed" --kills 2000 --mails 5000
fi
exec "$target/chaos" "$@"

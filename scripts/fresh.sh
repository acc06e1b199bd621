#!/usr/bin/env bash
# Whether what is generated and committed is what the code would generate now: the OpenAPI document and .sqlx/.
# (The extension's stub is compared with the loaded module by its own tests.)
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true

cargo run --quiet --package trastienda-hub -- openapi | diff -u docs/openapi.json - || {
  echo 'docs/openapi.json is not what the code says: run `make prepare`' >&2
  exit 1
}
# Unused or missing query files: the macros name the file by the query's digest and refuse one that is missing; what no
# query uses any more is found by writing them anew beside the old ones.
scripts/postgres.sh scripts/fresh-queries.sh

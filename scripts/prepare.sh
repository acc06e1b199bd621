#!/usr/bin/env bash
# Writes .sqlx/ anew: checks every query against a migrated database and keeps what the database said of it.
# Needs DATABASE_URL of an empty or migrated PostgreSQL that may be changed; `make prepare` gives one.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?set DATABASE_URL to a development database, or run \`make prepare\`}"
rm -rf .sqlx && mkdir .sqlx
# The macros write only while they expand.
touch hub/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$PWD/.sqlx" cargo check --package trastienda-hub --all-targets
echo "$(find .sqlx -name 'query-*.json' | wc -l) queries in .sqlx/"

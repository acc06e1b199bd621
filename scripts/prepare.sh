#!/usr/bin/env bash
# Writes .sqlx/ and docs/openapi.json anew. Needs DATABASE_URL of an empty database, which it migrates: every query is
# checked against it, and what it says is kept. `make prepare` gives it a throw-away one.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?run \`make prepare\`, or set DATABASE_URL to an empty database}"
target=${CARGO_TARGET_DIR:-target}

# Not by the hub: it cannot be built while its queries are ahead of .sqlx/.
for migration in migrations/*.sql; do
  psql "$DATABASE_URL" --quiet --no-psqlrc --single-transaction --set ON_ERROR_STOP=1 --file "$migration"
done

# What sqlx keeps of the migrations that it applies; the hub reads it.
psql "$DATABASE_URL" --quiet --no-psqlrc --command 'create table _sqlx_migrations (
  version bigint primary key, description text not null, installed_on timestamptz not null default now(),
  success boolean not null, checksum bytea not null, execution_time bigint not null)'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The macros write only while they expand.
touch hub/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$work cargo check --workspace --lib
rm -f .sqlx/query-*.json
mkdir -p .sqlx
cp "$work"/query-*.json .sqlx/
echo "$(ls .sqlx | wc -l) queries in .sqlx/"

# The whole workspace, as everywhere: built alone, the hub would be compiled again with other features.
SQLX_OFFLINE=true cargo build --workspace --bins --lib
"$target/debug/trastienda-hub" openapi >"$work/openapi.json"
cp "$work/openapi.json" docs/openapi.json

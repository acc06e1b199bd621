#!/usr/bin/env bash
# Compares .sqlx/ with what a freshly migrated database says of every query. Needs DATABASE_URL of an empty one.
set -euo pipefail
cd "$(dirname "$0")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
SQLX_OUT=$fresh scripts/prepare.sh >/dev/null
diff -r .sqlx "$fresh" || {
  echo '.sqlx/ is not what the database says: run `make prepare`' >&2
  exit 1
}
echo "$(ls .sqlx | wc -l) queries are fresh"

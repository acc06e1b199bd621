#!/usr/bin/env bash
# Takes the pictures in docs/images/dashboard/ anew: the browser's own test, keeping some of what it sees.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true SCREENSHOTS=$PWD/docs/images/dashboard
mkdir -p "$SCREENSHOTS"
rm -f "$SCREENSHOTS"/*.webp
scripts/build.sh
scripts/postgres.sh cargo test --workspace --test e2e -- every_page_does_its_work_in_a_browser

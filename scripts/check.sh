#!/usr/bin/env bash
# The static checks: what is wrong here is found without running anything of ours but small tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export SQLX_OFFLINE=true

step() { printf '\n== %s\n' "$*"; }

step formatting
cargo fmt --all --check
step clippy
cargo clippy --workspace --all-targets -- -D warnings
step documentation
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --quiet
step 'file sizes'
scripts/file-sizes.sh
step 'licences and bans'
scripts/licences.py
step 'php and shell syntax'
git ls-files -z '*.php' | xargs -0 -n 50 -P 2 sh -c 'for file; do php -l "$file" >/dev/null || exit 255; done' sh
git ls-files -z '*.sh' .ci/run | xargs -0 -n 1 bash -n
step 'php style'
scripts/php-style.sh
step 'generated files'
# .sqlx/ and docs/openapi.json; the extension's stub is compared with the loaded module by its own tests.
scripts/build.sh
scripts/postgres.sh cargo test --workspace --test e2e -- generated

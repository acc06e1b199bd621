#!/usr/bin/env bash
# What is too long for `make test`: the extension's memory over many calls, under valgrind where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/build.sh
php-ext/check-memory.sh "${CARGO_TARGET_DIR:-target}/debug/libtrastienda.so"

#!/bin/sh
# Calls the extension a million times from one PHP process and looks whether the process has grown: PHP's own memory, and
# what the kernel counts.
#
#   php-ext/check-growth.sh path/to/libtrastienda.so [calls]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
exec "${PHP:-php}" -n -d "extension=$(realpath "$1")" "$here/tests/many_calls.inc" "${2:-1000000}"

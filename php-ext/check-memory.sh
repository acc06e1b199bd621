#!/bin/sh
# Runs every path of the extension once under valgrind: no invalid access, nothing lost.
#
#   php-ext/check-memory.sh path/to/libtrastienda.so
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# PHP's own allocator would hide what is freed, and an unloaded module has no names in the report.
USE_ZEND_ALLOC=0 ZEND_DONT_UNLOAD_MODULES=1 exec valgrind --quiet --error-exitcode=1 \
    --leak-check=full --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect,possible \
    "${PHP:-php}" -n -d "extension=$(realpath "$1")" "$here/tests/every_call.inc"

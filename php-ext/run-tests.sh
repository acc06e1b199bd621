#!/bin/sh
# Runs the extension's .phpt tests with PHP's own runner.
#
#   php-ext/run-tests.sh [path/to/libtrastienda.so] [test.phpt…]
#
# Without a path, TRASTIENDA_SO is used, else the newest build under the target directory.
# PHP names the interpreter (default: php), PHP_CONFIG its php-config. The last line is
# "N passed, N failed, N skipped"; the exit status is 1 if any failed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
php=$(command -v "${PHP:-php}")
php_config=${PHP_CONFIG:-php-config}

case ${1:-} in
*.so) so=$1 && shift ;;
*) so=${TRASTIENDA_SO:-} ;;
esac
if [ -z "$so" ]; then
    target=${CARGO_TARGET_DIR:-$here/../target}
    so=$(ls -t "$target"/*/libtrastienda.so 2>/dev/null | head -n 1)
fi
[ -f "$so" ] || { echo "no extension at '${so:-}': build it with cargo build -p trastienda-php" >&2; exit 2; }
so=$(cd "$(dirname "$so")" && pwd)/$(basename "$so")

runner=
for directory in "$("$php_config" --extension-dir)" "$("$php_config" --prefix)/lib/php" "/usr/lib/php/$("$php_config" --phpapi)"; do
    [ -f "$directory/build/run-tests.php" ] && runner=$directory/build/run-tests.php && break
done
[ -n "$runner" ] || { echo "PHP's run-tests.php was not found: install PHP's development package" >&2; exit 2; }

# The runner leaves files beside failed tests, so it works on a copy.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$here/tests" "$work/tests"
cp "$here/trastienda.stub.php" "$work/"
if [ $# -gt 0 ]; then
    set -- $(for test; do echo "$work/tests/$(basename "$test")"; done)
else
    set -- "$work/tests"
fi

export TEST_PHP_EXECUTABLE="$php" NO_INTERACTION=1
"$php" -n "$runner" -q -n -p "$php" -d "extension=$so" -W "$work/results" --show-diff --offline "$@" >"$work/log" 2>&1 || true

count() { grep -cE "^($1)" "$work/results" || true; }
passed=$(count 'PASSED') skipped=$(count 'SKIPPED') all=$(count '.')
failed=$((all - passed - skipped))
if [ "$failed" -gt 0 ] || [ "$passed" -eq 0 ]; then
    cat "$work/log"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

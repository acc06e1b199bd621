#!/bin/sh
# Compiles the extension as for a thread-safe PHP (ZTS) with the headers of the one that is here, and lints it. Nothing runs: for
# that a ZTS PHP is needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
real=$(command -v "${PHP:-php}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/php" <<PHP
#!/bin/sh
"$real" "\$@" | sed 's/^Thread Safety => disabled/Thread Safety => enabled/'
PHP
chmod +x "$work/php"
"$work/php" -i | grep -q '^Thread Safety => enabled' || { echo 'the stand-in for PHP does not work' >&2; exit 2; }
# The build script of the bindings asks this one.
PHP="$work/php" cargo clippy --manifest-path "$here/Cargo.toml" "$@" -- -D warnings
echo 'compiles for a thread-safe PHP'

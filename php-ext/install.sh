#!/bin/sh
# Builds the extension for the PHP that PHP_CONFIG names (default: the php-config found first), installs and enables it.
#
#   php-ext/install.sh [path/to/libtrastienda.so]
#
# With a path nothing is built. DESTDIR is put before every path that is written, for packages and images. As root, or as
# whoever may write there. The last line is what the installed extension says its version is.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
php_config=${PHP_CONFIG:-php-config}
php=$("$php_config" --php-binary)
destdir=${DESTDIR:-}
if [ $# -gt 0 ]; then
    so=$1
else
    PHP_CONFIG=$(command -v "$php_config") PHP=$php cargo build --manifest-path "$here/Cargo.toml" --release
    so=${CARGO_TARGET_DIR:-$here/../target}/release/libtrastienda.so
fi

library=$destdir$("$php_config" --extension-dir)/trastienda.so
install -D -m 644 "$so" "$library"

# Debian keeps what is installed and what is enabled apart, for each program of PHP's; elsewhere one directory is read.
version=$("$php" -n -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
available=/etc/php/$version/mods-available
scanned=$("$php_config" --ini-dir 2>/dev/null || true)
if [ -d "$available" ]; then
    settings=$destdir$available/trastienda.ini
else
    settings=$destdir${scanned:-/usr/local/etc/php/conf.d}/trastienda.ini
fi
mkdir -p "$(dirname "$settings")"
echo 'extension=trastienda' >"$settings"
if [ -z "$destdir" ] && [ -d "$available" ]; then
    phpenmod -v "$version" trastienda
fi
"$php" -n -d "extension=$library" -r 'echo "trastienda ", phpversion("trastienda"), "\n";'

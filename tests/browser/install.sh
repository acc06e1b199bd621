#!/usr/bin/env bash
# Installs what drives the browser in the dashboard's tests, pinned, into `.browser/` (not tracked). What is there already, for
# the same pins, is kept. The browser itself is Debian's.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=tests/browser
target=.browser
pins=$(cat "$source"/{package.json,package-lock.json} | sha256sum)
if [[ -e $target/pins && $(<"$target/pins") == "$pins" ]]; then
  exit
fi

echo "setup: installing what drives the browser in the dashboard's tests"
rm -rf "$target"
mkdir -p "$target"
cp "$source"/package.json "$source"/package-lock.json "$target/"
(cd "$target" && npm ci --silent --ignore-scripts --no-audit --no-fund)
echo "$pins" >"$target/pins"

#!/usr/bin/env bash
# Installs schemathesis, pinned, into `.schemathesis/` (not tracked). What is there already, for the same pin, is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=.schemathesis
pin='schemathesis==4.32.5'
if [[ -e $target/pin && $(<"$target/pin") == "$pin" ]]; then
  exit
fi

echo 'setup: installing schemathesis'
rm -rf "$target"
/usr/bin/python3 -m venv "$target"
"$target/bin/pip" install --quiet --disable-pip-version-check "$pin"
echo "$pin" >"$target/pin"

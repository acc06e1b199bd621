#!/usr/bin/env bash
# Installs the public Standard Webhooks packages of Python and Node, pinned, into `.verifiers/` (not tracked). What is there
# already, for the same pins, is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
source=tests/verifiers
target=.verifiers
pins=$(cat "$source"/{requirements.txt,package.json,package-lock.json} | sha256sum)
if [[ -e $target/pins && $(<"$target/pins") == "$pins" ]]; then
  exit
fi

echo 'setup: installing the public verifiers of webhook signatures'
rm -rf "$target"
mkdir -p "$target/node"
/usr/bin/python3 -m venv "$target/python"
"$target/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$source/requirements.txt"
cp "$source"/package.json "$source"/package-lock.json "$target/node/"
(cd "$target/node" && npm ci --silent --ignore-scripts --no-audit --no-fund)
echo "$pins" >"$target/pins"

#!/usr/bin/env bash
# Installs Mercado Pago's SDKs for Python and Node, pinned, into `.sdks/` (not tracked). What is there already, for the same
# pins, is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=.sdks
pins='python 3.6.0, node 3.6.1'
if [[ -e $target/pins && $(<"$target/pins") == "$pins" ]]; then
  exit
fi

echo 'setup: installing the SDKs of Mercado Pago'
rm -rf "$target"
mkdir -p "$target/node"
/usr/bin/python3 -m venv "$target/python"
"$target/python/bin/pip" install --quiet --disable-pip-version-check mercadopago==3.6.0
npm install --prefix "$target/node" --no-audit --no-fund --no-save --silent mercadopago@3.6.1
echo "$pins" >"$target/pins"

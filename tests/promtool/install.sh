#!/usr/bin/env bash
# Puts Debian's `promtool` into `.promtool/` (not tracked) without installing Prometheus, which would start a server.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ -x .promtool/promtool ]]; then
  exit
fi
if command -v promtool >/dev/null; then
  mkdir -p .promtool
  ln -sf "$(command -v promtool)" .promtool/promtool
  exit
fi

echo 'setup: fetching promtool'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Debian's downloader drops to a user of its own, which must be able to write here.
chmod 777 "$work"
(cd "$work" && apt-get download -qq prometheus)
dpkg-deb --extract "$work"/prometheus_*.deb "$work/files"
mkdir -p .promtool
mv "$work/files/usr/bin/promtool" .promtool/promtool

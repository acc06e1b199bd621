#!/usr/bin/env bash
# Installs what the build, the tests and the demonstration need and this machine lacks.
# Debian's packages are installed when root or sudo is there; otherwise it says exactly what to install.
set -euo pipefail

packages=(
  build-essential pkg-config curl procps
  php8.2-cli php8.2-dev php8.2-xml php8.2-mbstring php8.2-curl php8.2-sqlite3
  libclang-dev clang
  phpunit php-laravel-framework php-guzzlehttp-guzzle php-symfony-mailer
  postgresql python3-aiosmtpd python3-venv
)
command -v npm >/dev/null || packages+=(nodejs npm)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done

# Node comes with npm, or Debian's two packages bring both.
command -v npm >/dev/null || missing+=(nodejs npm)

if ((${#missing[@]} > 0)); then
  if ! command -v apt-get >/dev/null; then
    echo "setup: this machine has no apt-get; install what these Debian packages hold: ${missing[*]}" >&2
    exit 1
  fi
  as_root=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      printf 'setup: as root, run\n\n  apt-get install %s\n\n' "${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "setup: installing ${missing[*]}"
  # PostgreSQL's programs are wanted, not a server of the system's own.
  no_cluster=/etc/postgresql-common/createcluster.conf
  if [[ " ${missing[*]} " == *" postgresql "* && ! -e $no_cluster ]]; then
    "${as_root[@]}" mkdir -p "$(dirname $no_cluster)"
    echo 'create_main_cluster = false' | "${as_root[@]}" tee $no_cluster >/dev/null
  fi
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

if ! command -v cargo >/dev/null; then
  echo "setup: Rust is missing: install it from https://rustup.rs; rust-toolchain.toml names the version" >&2
  exit 1
fi

# What the webhooks' signatures are verified with, beside our own code.
tests/verifiers/install.sh

# Mercado Pago's own SDKs, which a test points at its simulator. Outside the tracked tree, pinned, installed once.
sdks=${TRASTIENDA_SDK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/trastienda/sdks}
python_sdk=$sdks/py-3.6.0
if [[ ! -e $python_sdk/ready ]]; then
  mkdir -p "$sdks"
  if /usr/bin/python3 -m venv "$python_sdk" &&
    "$python_sdk/bin/pip" install --quiet --disable-pip-version-check mercadopago==3.6.0; then
    touch "$python_sdk/ready"
  else
    echo 'setup: the Python SDK of Mercado Pago could not be installed (no package index?); its test is left out' >&2
  fi
fi
node_sdk=$sdks/node-3.6.1
if [[ ! -e $node_sdk/ready ]]; then
  mkdir -p "$node_sdk"
  if npm install --prefix "$node_sdk" --no-audit --no-fund --no-save --silent mercadopago@3.6.1; then
    touch "$node_sdk/ready"
  else
    echo 'setup: the Node SDK of Mercado Pago could not be installed (no package registry?); its test is left out' >&2
  fi
fi

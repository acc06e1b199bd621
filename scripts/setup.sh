#!/usr/bin/env bash
# Installs what the build, the tests and the demonstration need and this machine lacks.
# Debian's packages are installed when root or sudo is there; otherwise it says exactly what to install.
set -euo pipefail

packages=(
  build-essential pkg-config curl procps
  php8.2-cli php8.2-fpm php8.2-dev php8.2-xml php8.2-mbstring php8.2-curl php8.2-sqlite3 php8.2-pgsql
  libclang-dev clang
  phpunit php-laravel-framework php-guzzlehttp-guzzle php-symfony-mailer
  postgresql redis-server python3-aiosmtpd python3-venv exim4-daemon-light
  chromium fonts-dejavu-core systemd
)
# Node comes with npm, or Debian's two packages bring both.
command -v npm >/dev/null || packages+=(nodejs npm)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done

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
  # PostgreSQL's programs are wanted, not a server of the system's own; nor one of Redis, see below.
  no_cluster=/etc/postgresql-common/createcluster.conf
  if [[ " ${missing[*]} " == *" postgresql "* && ! -e $no_cluster ]]; then
    "${as_root[@]}" mkdir -p "$(dirname $no_cluster)"
    echo 'create_main_cluster = false' | "${as_root[@]}" tee $no_cluster >/dev/null
  fi
  # Programs are wanted, not services: a mail server that listens on port 25 least of all.
  no_services=/usr/sbin/policy-rc.d
  if [[ ! -e $no_services ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $no_services >/dev/null
    "${as_root[@]}" chmod 755 $no_services
    # shellcheck disable=SC2064 # As it is now.
    trap "${as_root[*]} rm -f $no_services" EXIT
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
# Mercado Pago's own SDKs, which a test points at its simulator.
tests/sdk/install.sh
# What drives a real browser over the dashboard.
tests/browser/install.sh
# What asks the hub whatever its document allows, and more.
tests/schemathesis/install.sh
# What checks the rules for Prometheus.
tests/promtool/install.sh

#!/usr/bin/env bash
# Runs a command with a throw-away PostgreSQL: `scripts/postgres.sh COMMAND…` finds its address in DATABASE_URL.
# PostgreSQL refuses root, so as root it runs as the user `postgres`. It is stopped and deleted at the end.
set -euo pipefail

if [[ -n ${DATABASE_URL:-} ]]; then
  exec "$@" # The caller has one.
fi

programs=$(dirname "$(command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
home=$(mktemp -d /tmp/trastienda-test-pg.XXXXXX)
as=()
if ((EUID == 0)); then
  chown postgres "$home"
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
fi

finish() {
  "${as[@]}" "$programs/pg_ctl" -D "$home/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$home"
}
trap finish EXIT

cd /
"${as[@]}" "$programs/initdb" -D "$home/data" -U postgres -A trust --no-sync >"$home.log" 2>&1 || { cat "$home.log" >&2; exit 1; }
rm -f "$home.log"
# The port only names the socket: nothing listens on the network but loopback. A taken one is passed over.
for try in $(seq 20); do
  port=$((20000 + RANDOM % 20000))
  # Nothing here has to outlive a power cut.
  options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$home -c fsync=off -c full_page_writes=off -c max_connections=400"
  if "${as[@]}" "$programs/pg_ctl" -D "$home/data" -w -l "$home/log" -o "$options" start >/dev/null 2>&1; then
    started=1
    break
  fi
done
[[ -n ${started:-} ]] || { cat "$home/log" >&2; exit 1; }
cd - >/dev/null

DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres" "$@"

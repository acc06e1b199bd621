#!/usr/bin/env bash
# deploy/install.sh, tried on a host of its own: a container that systemd runs, with Debian's PostgreSQL and nginx. Everything that
# docs/install.md promises: a dry run that changes nothing, a second run that changes nothing, units that systemd keeps, the
# watchdog, an agent that a call starts, upgrade and rollback, nginx before it.
#
#   scripts/soak/install.sh [--keep DIRECTORY]    as for compose.sh
#
# The programs are those of the profile `ci`, which scripts/soak.sh builds. SKIP_COMPOSE=1 skips it and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ ${SKIP_COMPOSE:-} == 1 ]]; then
  echo 'NOT RUN: SKIP_COMPOSE=1: deploy/install.sh was not tried'
  exit 0
fi
source scripts/soak/docker.sh

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
keep=
[[ ${1:-} == --keep ]] && keep=$2
home=${keep:-$(mktemp -d /var/tmp/trastienda-install.XXXXXX)}
work=$(mktemp -d)
host=

finish() {
  local status=$?
  if ((status != 0)) && [[ -n $host ]]; then
    "$docker" exec "$host" journalctl --no-pager -n 60 2>/dev/null || true
  fi
  [[ -z $host ]] || "$docker" rm -f "$host" >/dev/null 2>&1 || true
  stop_docker
  rm -rf "$work"
  [[ -n $keep ]] || rm -rf "$home"
}
trap finish EXIT

step 'a host'
start_docker "$home"
make_base
mkdir "$work/release"
cp -r deploy "$work/release/deploy"
for name in trastienda-hub trastienda-agent; do
  strip --strip-debug -o "$work/release/deploy/$name" "${CARGO_TARGET_DIR:-target}/ci/$name"
done
DOCKER_BUILDKIT=1 "$docker" build --quiet --tag trastienda/host --file deploy/docker/host.Dockerfile deploy/docker >/dev/null

# systemd as the first process: it needs the control groups, and a /run of its own.
new_host() {
  [[ -z $host ]] || "$docker" rm -f "$host" >/dev/null
  host=$("$docker" run --detach --cap-add SYS_ADMIN --cap-add SYS_NICE --security-opt seccomp=unconfined \
    --security-opt apparmor=unconfined --cgroupns host --volume /sys/fs/cgroup:/sys/fs/cgroup:rw --tmpfs /run --tmpfs /tmp:exec \
    --env container=docker trastienda/host)
  "$docker" cp "$work/release/deploy" "$host:/root/deploy" >/dev/null
  until_true 'systemd runs' sh -c "$docker exec $host systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'"
  # As on a host, where systemd sees to it: credentials are mounted by a child and have to be seen by the service.
  on mount --make-rshared /
}
on() { "$docker" exec "$host" "$@"; }
sh_on() { "$docker" exec -i "$host" bash -euo pipefail -c "$1"; }
until_true() { # WHAT COMMAND…: at most two minutes
  local what=$1 deadline=$((SECONDS + 120))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || fail "waited in vain: $what"
    sleep 0.5
  done
}
ready() { on curl -fsS http://127.0.0.1:8080/readyz >/dev/null 2>&1; }
pid_of() { on systemctl show --property MainPID --value "$1"; }
unchanged() { grep -q '^Sin cambios' "$work/said" || { cat "$work/said"; fail "$1 changed something"; }; }

new_host
on cat /etc/debian_version

step 'a dry run changes nothing'
install_hub=(/root/deploy/install.sh hub --database local --public-url https://hub.example.com)
on "${install_hub[@]}" --dry-run
sh_on '[[ ! -e /etc/trastienda && ! -e /usr/local/bin/trastienda-hub ]] && ! id trastienda 2>/dev/null' || fail 'it did'

step 'the hub, with the database of the host'
on "${install_hub[@]}"
until_true 'the hub is ready' ready
on systemctl show --property ActiveState,NotifyAccess,WatchdogUSec,User trastienda-hub
on stat -c '%n %U:%G %a' /etc/trastienda /etc/trastienda/hub.env /etc/trastienda/master.key /etc/trastienda/admin.token /var/lib/trastienda-hub
step 'again: nothing changes, and it is not started anew'
before=$(pid_of trastienda-hub)
on "${install_hub[@]}" >"$work/said"
unchanged 'the second run'
[[ $(pid_of trastienda-hub) == "$before" ]] || fail 'the hub was restarted'
on trastienda-hubctl doctor || true # Mail is not set up, and it says so.

step 'an agent'
sh_on 'trastienda-hubctl project create --name Mates --domain mates.example.com --mode test --json >/root/project.json
  umask 077; grep -o "tk_test_[A-Za-z0-9_]*" /root/project.json >/root/mates.key'
install_agent=(/root/deploy/install.sh agent mates --hub-url http://127.0.0.1:8080 --key-file /root/mates.key)
on "${install_agent[@]}"
on "${install_agent[@]}" >"$work/said"
unchanged 'the second run'
# As the shop's PHP would: by its group, and nobody else.
event() { # ORDER: its id
  sh_on "runuser -u www-data -- curl -fsS --unix-socket /run/trastienda/mates.sock http://localhost/v1/events \
    -H 'Content-Type: application/json' -d '{\"type\": \"order.created\", \"data\": {\"order_id\": \"$1\"}}'" | grep -o 'evt_[0-9a-f]*'
}
at_hub() { sh_on "curl -fsS -H \"X-API-KEY: \$(cat /root/mates.key)\" http://127.0.0.1:8080/v1/events/$1 >/dev/null 2>&1"; }
first=$(event A-1)
until_true 'the event is at the hub' at_hub "$first"
sh_on 'runuser -u nobody -- curl -sS --unix-socket /run/trastienda/mates.sock http://localhost/agent/status 2>&1' && fail 'anybody may call'
echo "order A-1: $first"

step 'an agent that is stopped is started by the next call'
on systemctl stop trastienda-agent@mates.service
second=$(event A-2)
until_true 'the event is at the hub' at_hub "$second"
[[ $(on systemctl is-active trastienda-agent@mates.service) == active ]] || fail 'the agent does not run'
sh_on 'journalctl --no-pager -u trastienda-agent@mates.service | grep -q activated=true' || fail 'by another socket than systemd'\''s'

step 'killed: started again; hung: the watchdog ends it, and it is started again'
restarts() { [[ $(on systemctl show --property NRestarts --value trastienda-hub) -ge $1 ]] && ready; }
on systemctl kill --signal KILL trastienda-hub
until_true 'the hub is back' restarts 1
sh_on 'mkdir -p /run/systemd/system/trastienda-hub.service.d
  printf "[Service]\nWatchdogSec=3\n" >/run/systemd/system/trastienda-hub.service.d/soon.conf
  systemctl daemon-reload; systemctl restart trastienda-hub'
until_true 'the hub is ready' ready
on systemctl kill --signal STOP trastienda-hub
until_true 'the hub is back' restarts 1
sh_on 'journalctl --no-pager -u trastienda-hub | grep -m1 -o "Watchdog timeout"'
third=$(event A-3)
until_true 'the event is at the hub' at_hub "$third"

step 'an upgrade keeps the program before; a rollback brings it back'
old=$(sh_on 'sha256sum </usr/local/bin/trastienda-hub')
sh_on 'mkdir -p /root/next; for name in hub agent; do cp /root/deploy/trastienda-$name /root/next/; printf "\0" >>/root/next/trastienda-$name; done'
on /root/deploy/install.sh --programs /root/next upgrade
until_true 'the new hub is ready' ready
[[ $(sh_on 'sha256sum </usr/local/bin/trastienda-hub') != "$old" ]] || fail 'it is the old program'
on /root/deploy/install.sh --programs /root/next upgrade >"$work/said"
unchanged 'the second upgrade'
on /root/deploy/install.sh rollback hub
until_true 'the old hub is ready' ready
[[ $(sh_on 'sha256sum </usr/local/bin/trastienda-hub') == "$old" ]] || fail 'it is not the old program'
on /root/deploy/install.sh status
fourth=$(event A-4)
until_true 'the event is at the hub' at_hub "$fourth"

step 'nginx before it'
sh_on 'mkdir -p /etc/letsencrypt/live/hub.example.com && cd /etc/letsencrypt/live/hub.example.com
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hub.example.com \
    -addext subjectAltName=DNS:hub.example.com -keyout privkey.pem -out fullchain.pem 2>/dev/null
  cp /root/deploy/nginx/trastienda.conf /etc/nginx/conf.d/ && nginx -t && systemctl start nginx'
outside="curl -fsS --cacert /etc/letsencrypt/live/hub.example.com/fullchain.pem --resolve hub.example.com:443:127.0.0.1"
sh_on "$outside https://hub.example.com/readyz"
echo
sh_on "$outside -o /dev/null https://hub.example.com/metrics 2>&1" && fail 'the world sees the metrics'
# Nine megabytes are for the hub to judge: the refusal has its request id.
sh_on "head -c 9000000 /dev/zero | tr '\\0' x >/tmp/large; ${outside/ -fsS/ -sS} -H \"X-API-KEY: \$(cat /root/mates.key)\" \
  -H 'Content-Type: application/json' --data-binary @/tmp/large https://hub.example.com/v1/batch" | grep -q request_id || fail 'nginx refuses what the hub would look at'

step 'stopped in order'
on systemctl stop trastienda-hub trastienda-agent@mates.service trastienda-agent@mates.socket
for unit in trastienda-hub trastienda-agent@mates.service; do
  [[ $(on systemctl show --property Result --value "$unit") == success ]] || fail "$unit did not end by itself"
done

step 'another host, without a database of its own'
new_host
on /root/deploy/install.sh hub --database embedded
until_true 'the hub is ready' ready
on /root/deploy/install.sh hub --database embedded >"$work/said"
unchanged 'the second run'
on systemctl restart trastienda-hub
until_true 'the hub is ready' ready
on systemctl stop trastienda-hub
[[ $(on systemctl show --property Result --value trastienda-hub) == success ]] || fail 'the hub did not end by itself'
if sh_on 'pgrep -u trastienda >/dev/null'; then fail 'it left processes behind'; fi
sh_on 'grep -q "database system is shut down" /var/lib/trastienda-hub/postgresql/data/server.log' || fail 'PostgreSQL was not stopped in order'
echo "deploy/install.sh works ($SECONDS s)"

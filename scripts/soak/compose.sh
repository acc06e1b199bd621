#!/usr/bin/env bash
# docker-compose.yml, run for real: a Docker engine from Debian's packages, base images by debootstrap, our programs. It brings
# everything up, places orders in the shop's container, cuts the agent off, kills the hub and the database meanwhile, heals, and
# accounts for every order: at the hub once, delivered to the shop's own webhook once, its mail sent.
#
#   scripts/soak/compose.sh [--keep DIRECTORY]    DIRECTORY: the engine's, kept for the next run (its images are its cache)
#
# The programs are those of the profile `ci`, which scripts/soak.sh builds. SKIP_COMPOSE=1 skips it and says so. Whatever else keeps it from running is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ ${SKIP_COMPOSE:-} == 1 ]]; then
  echo 'NOT RUN: SKIP_COMPOSE=1: docker-compose.yml was not tried'
  exit 0
fi
source scripts/soak/docker.sh

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
keep=
[[ ${1:-} == --keep ]] && keep=$2
home=${keep:-$(mktemp -d /var/tmp/trastienda-compose.XXXXXX)}
work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=trastienda-soak COMPOSE_PROFILES=mail TRASTIENDA_SECRETS=$work/secrets
export TRASTIENDA_HUB_PORT=${TRASTIENDA_HUB_PORT:-18080} SHOP_PORT=${SHOP_PORT:-18101} MAIL_PORT=${MAIL_PORT:-18025}
export TRASTIENDA_SMTP_URL=smtp://mail:2525
export DOCKER=$docker COMPOSE=docker-compose PATH=/usr/bin:/usr/sbin:$PATH
compose=(docker-compose)

finish() {
  local status=$?
  if ((status != 0)); then
    "${compose[@]}" ps 2>/dev/null || true
    "${compose[@]}" logs --tail 15 2>/dev/null || true
  fi
  "${compose[@]}" down --volumes >/dev/null 2>&1 || true
  stop_docker
  rm -rf "$work"
  [[ -n $keep ]] || rm -rf "$home"
}
trap finish EXIT

step 'the engine and the images'
start_docker "$home"
make_base
deploy/docker/images.sh --host "${CARGO_TARGET_DIR:-target}/ci"
"$docker" images --format '{{.Repository}}\t{{.Size}}' | grep -E '^(trastienda/|debian)' | sort

step 'up'
deploy/docker/up.sh
deploy/docker/up.sh >/dev/null # A second time changes nothing:
"${compose[@]}" ps

hub=http://127.0.0.1:$TRASTIENDA_HUB_PORT shop=http://127.0.0.1:$SHOP_PORT mail=http://127.0.0.1:$MAIL_PORT
container() { "${compose[@]}" ps -q "$1"; }
python() { python3 scripts/soak/compose.py "$@"; }

# Places N orders in the shop's container, and N over HTTP; their answers go to the ledger.
place() {
  local n
  for n in $(seq "$1"); do
    "${compose[@]}" exec -T shop php artisan shop:order mate-calabaza "ana$RANDOM@example.com" --name=Ana >>"$work/ledger"
    curl -sS --fail --retry 20 --retry-all-errors --retry-delay 1 -H 'Content-Type: application/json' \
      -d "{\"product\": \"yerba-kilo\", \"email\": \"eva$RANDOM@example.com\"}" "$shop/orders" >>"$work/ledger"
    echo >>"$work/ledger"
  done
}
agent_says() { "${compose[@]}" exec -T agent trastienda-agent status --json | python field "$1"; }
# As a crash, not as an operator: the engine has to start it again.
crash() {
  local id pid
  id=$(container "$1")
  pid=$("$docker" inspect --format '{{.State.Pid}}' "$id")
  kill -KILL "$pid"
  echo "killed $1 (pid $pid)"
}
until_true() { # WHAT COMMAND…: at most three minutes
  local what=$1 deadline=$((SECONDS + 180))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "waited in vain: $what" >&2; return 1; }
    sleep 1
  done
}
restarted() { [[ $("$docker" inspect --format '{{.RestartCount}} {{.State.Health.Status}}' "$(container "$1")") == "$2 healthy" ]]; }

step 'four orders, all is well'
place 2

step 'the agent is cut off; six more'
network=${COMPOSE_PROJECT_NAME}_hub
"$docker" network disconnect "$network" "$(container agent)"
place 3
cut_off() { [[ $(agent_says hub) == down ]]; }
until_true 'the agent notices' cut_off
echo "agent: hub $(agent_says hub), $(agent_says buffered) calls on its disk"
[[ $(agent_says buffered) -ge 12 ]]

step 'hub and database are killed; four more'
crash hub
crash database
place 2
until_true 'the hub is healthy again' restarted hub 1
until_true 'the database is healthy again' restarted database 1

step 'the agent is killed with everything in its buffer, and comes back'
before=$(agent_says buffered)
crash agent
until_true 'the agent is healthy again' restarted agent 1
[[ $(agent_says buffered) == "$before" ]]

step 'healed; the hub is killed once more while it is handed everything'
"$docker" network connect "$network" "$(container agent)"
crash hub
place 1
until_true 'the hub is healthy again' restarted hub 2
drained() { [[ $(agent_says buffered) == 0 ]]; }
until_true 'the agent has handed everything over' drained

step 'the account'
python account "$work/ledger" "$hub" "$shop" "$mail" "$TRASTIENDA_SECRETS/shop.key"

step 'what a container may do'
for service in database hub agent shop web mail; do
  "$docker" inspect --format "$service: user {{.Config.User}}, read-only {{.HostConfig.ReadonlyRootfs}}, capabilities {{.HostConfig.CapDrop}} dropped, {{.HostConfig.RestartPolicy.Name}}" "$(container $service)"
done
"$docker" inspect --format '{{.Config.Env}}' "$(container hub)" "$(container database)" "$(container agent)" >"$work/environment"
for secret in master.key admin.token database.password shop.key; do
  if grep -qF "$(<"$TRASTIENDA_SECRETS/$secret")" "$work/environment"; then
    echo "$secret is in a container's environment" >&2
    exit 1
  fi
done
echo 'no secret in the environment of hub, database or agent'
if "${compose[@]}" exec -T shop sh -c 'touch /app/x /etc/x' 2>/dev/null; then
  echo 'the shop can write to its own code' >&2
  exit 1
fi
"${compose[@]}" logs --no-color >"$work/logs"
for secret in master.key admin.token database.password shop.key shop.webhook.secret; do
  if grep -qF "$(<"$TRASTIENDA_SECRETS/$secret")" "$work/logs"; then
    echo "$secret is in a log" >&2
    exit 1
  fi
done
echo 'no secret in a log'

step 'down, in order'
"${compose[@]}" stop >/dev/null 2>&1
for service in hub agent; do
  code=$("$docker" inspect --format '{{.State.ExitCode}}' "$("${compose[@]}" ps -aq $service)")
  [[ $code == 0 ]] || { echo "$service ended with $code" >&2; exit 1; }
done
echo "hub and agent ended by themselves; docker-compose.yml works ($SECONDS s)"

#!/usr/bin/env bash
# Brings docker-compose.yml up: makes the secrets that are missing, starts database and hub, makes the shop's project and its
# webhook endpoint the first time, and starts the rest. Run again, it changes nothing that is there.
#
#   deploy/docker/images.sh && deploy/docker/up.sh
#
# TRASTIENDA_SECRETS (default: ./secrets) is where the secrets are kept; back master.key up apart from the database.
# COMPOSE is the program (default: docker compose, else docker-compose). COMPOSE_PROJECT_NAME, COMPOSE_PROFILES and what
# docker-compose.yml reads count as always.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*"; }
if [[ -n ${COMPOSE:-} ]]; then
  read -r -a compose <<<"$COMPOSE"
elif docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
else
  compose=(docker-compose)
fi

# The directory keeps others out. A file is readable by all, since each container has a user of its own, and only the
# containers that docker-compose.yml names are given it.
export TRASTIENDA_SECRETS=${TRASTIENDA_SECRETS:-$PWD/secrets}
mkdir -p -m 0700 "$TRASTIENDA_SECRETS"
cd "$TRASTIENDA_SECRETS"
umask 0333
keep() { # FILE: standard input becomes it, whole or not at all
  (umask 0077 && cat >".$1.new")
  [[ -s .$1.new ]] || { rm -f ".$1.new"; say "no hay valor para $1 / no value for $1" >&2; return 1; }
  chmod 0444 ".$1.new"
  mv -f ".$1.new" "$1"
}
[[ -s master.key ]] || openssl rand -base64 32 | keep master.key
[[ -s admin.token ]] || openssl rand -hex 32 | keep admin.token
[[ -s shop.app.key ]] || printf 'base64:%s\n' "$(openssl rand -base64 32)" | keep shop.app.key
[[ -s database.password ]] || openssl rand -hex 24 | keep database.password
[[ -s database.url ]] || printf 'postgres://trastienda:%s@database/trastienda\n' "$(<database.password)" | keep database.url
cd - >/dev/null

# Compose looks for every file that it mentions, also for those of services that it is not to start yet.
for file in shop.key shop.webhook.secret; do
  [[ -e $TRASTIENDA_SECRETS/$file ]] || : >"$TRASTIENDA_SECRETS/$file"
done

healthy() { # SERVICE: waits until it is, at most five minutes
  local container status deadline=$((SECONDS + 300))
  until container=$("${compose[@]}" ps -q "$1") && [[ -n $container ]] &&
    status=$("${DOCKER:-docker}" inspect --format '{{.State.Health.Status}}' "$container") && [[ $status == healthy ]]; do
    ((SECONDS < deadline)) || { say "$1 no responde / does not answer: ${compose[*]} logs $1" >&2; return 1; }
    sleep 1
  done
}

say 'Base de datos y hub / database and hub'
"${compose[@]}" up -d --no-build database hub
healthy hub

field() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for name in sys.argv[1:]: value = value[name]
print(value)' "$@"; }
if [[ ! -s $TRASTIENDA_SECRETS/shop.key ]]; then
  say 'Proyecto de la tienda / the shop'\''s project'
  "${compose[@]}" exec -T hub trastienda-hub project create --name 'Mate y Compañía' --domain mates.example.com --mode test --json |
    field api_key | (cd "$TRASTIENDA_SECRETS" && keep shop.key)
fi

say 'El resto / the rest'
if [[ ! -s $TRASTIENDA_SECRETS/shop.webhook.secret ]]; then
  # By the shop's own door: the hub's, on this host. What is registered is pulled by the agent.
  hub=http://$("${compose[@]}" port hub 8080)
  printf 'header = "X-API-KEY: %s"\n' "$(<"$TRASTIENDA_SECRETS/shop.key")" |
    curl --silent --show-error --fail --config - --header 'Content-Type: application/json' \
      --data '{"url": "agent:///webhooks/trastienda", "events": ["order.*", "payment.*"]}' "$hub/v1/webhook-endpoints" |
    field secret | (cd "$TRASTIENDA_SECRETS" && keep shop.webhook.secret)
fi
"${compose[@]}" up -d --no-build
for service in agent shop web; do healthy "$service"; done
say "hub: http://$("${compose[@]}" port hub 8080)   tienda / shop: http://$("${compose[@]}" port web 8080)"

#!/usr/bin/env bash
# Installs the hub, agents, or both, on a Debian or Ubuntu host with systemd. As root.
#
#   deploy/install.sh hub   [--database local|embedded|FILE] [--public-url URL] [--listen ADDRESS:PORT]
#   deploy/install.sh agent SHOP --hub-url URL --key-file FILE [--app-url URL] [--socket-group GROUP]
#   deploy/install.sh upgrade                    new programs for what is installed, the ones before kept
#   deploy/install.sh rollback hub|agent         the program before, back
#   deploy/install.sh status
#
# Everywhere: --programs DIRECTORY (default: beside this script, else target/release), --dry-run (says what it would do).
#
# --database local      PostgreSQL on this host: installed if it is missing; role and database `trastienda`, by peer authentication
#            embedded   the hub runs its own, with the installed programs
#            FILE       holds `postgres://user:password@host/database`
# It asks nothing, and a second run changes nothing. Settings and secrets that are there are kept: the master key and the admin
# token are made once, in /etc/trastienda.
set -euo pipefail

settings=/etc/trastienda
programs_in=/usr/local/bin
kept_in=/usr/local/lib/trastienda
units_in=/etc/systemd/system
here=$(cd "$(dirname "$0")" && pwd)
dry_run=
changes=0
reload=

say() { printf '%s\n' "$*"; }
refuse() { printf 'install.sh: %s\n' "$*" >&2; exit 2; }

# WHAT COMMAND…: says what changes, and changes it unless this is a dry run.
change() {
  local what=$1
  shift
  changes=$((changes + 1))
  say "  + $what"
  [[ -n $dry_run ]] || "$@"
}

# FILE MODE OWNER < CONTENT: makes the file so, if it is not. (Not at the end of a pipe: what it counts would be lost there.)
put() {
  local file=$1 mode=$2 owner=$3 content
  content=$(cat; printf x)
  content=${content%x}
  if [[ -f $file ]] && cmp -s "$file" <(printf %s "$content"); then
    own "$file" "$mode" "$owner"
    return
  fi
  change "$file" write "$file" "$mode" "$owner" "$content"
}
# Beside it first, and renamed: whoever reads it meanwhile reads the old one or the new one.
write() {
  local new
  new=$(mktemp "$(dirname "$1")/.$(basename "$1").XXXXXX")
  printf %s "$4" >"$new"
  chown "$3" "$new"
  chmod "$2" "$new"
  mv -f "$new" "$1"
}

# FILE MODE OWNER: corrects rights that were changed.
own() {
  [[ -e $1 ]] || return 0
  if [[ $(stat -c '%U:%G %a' "$1") != "$3 ${2#0}" ]]; then
    change "$1: $3 $2" rights "$1" "$2" "$3"
  fi
}
rights() { chown "$3" "$1" && chmod "$2" "$1"; }

directory() { # DIRECTORY MODE OWNER
  if [[ -d $1 ]]; then own "$1" "$2" "$3"; else change "$1/" install -d -m "$2" -o "${3%:*}" -g "${3#*:}" "$1"; fi
}

unit() { put "$units_in/$1" 0644 root:root <"$here/systemd/$1"; }

# NAME: puts a program in its place; the one before is kept. Sets `fresh` when it is another one than before.
program() {
  local from=$programs/$1 to=$programs_in/$1
  fresh=
  [[ -x $from ]] || refuse "$from: no está / is not there; --programs DIRECTORY"
  if cmp -s "$from" "$to"; then return; fi
  fresh=yes
  "$from" --version >/dev/null || refuse "$from: no arranca en este sistema / does not start on this system"
  if [[ -e $to ]]; then
    directory "$kept_in" 0755 root:root
    change "$kept_in/$1.previous" cp -p --remove-destination "$to" "$kept_in/$1.previous"
  fi
  change "$to ($("$from" --version))" replace "$from" "$to"
}
replace() {
  install -m 0755 "$1" "$2.new"
  mv -f "$2.new" "$2"
}

secret() { # FILE OWNER COMMAND…: what the command says, once
  local file=$1 owner=$2
  shift 2
  if [[ -s $file ]]; then own "$file" 0640 "$owner"; return; fi
  if [[ -n $dry_run ]]; then change "$file" true; else put "$file" 0640 "$owner" < <("$@"); fi
}

# UNIT CHANGED: starts it, or starts it again when something that it reads has changed.
running() {
  [[ -d /run/systemd/system ]] || { say "  ! systemd no corre aquí: $1 queda instalado / systemd does not run here"; return; }
  systemctl is-enabled --quiet "$1" 2>/dev/null || change "systemctl enable $1" systemctl enable --quiet "$1"
  if ! systemctl is-active --quiet "$1"; then
    change "systemctl start $1" systemctl start "$1"
  elif [[ -n $2 ]]; then
    change "systemctl restart $1" systemctl restart "$1"
  fi
}
reread() {
  [[ -n $1 && -d /run/systemd/system ]] || return 0
  change 'systemctl daemon-reload' systemctl daemon-reload
}

local_database() {
  if ! command -v pg_lsclusters >/dev/null; then
    change 'apt-get install postgresql' env DEBIAN_FRONTEND=noninteractive apt-get install -y -q postgresql
  fi
  [[ -n $dry_run ]] && ! id postgres >/dev/null 2>&1 && { say '  + PostgreSQL: rol y base / role and database trastienda'; return; }
  as_postgres() { (cd / && runuser -u postgres -- "$@"); }
  local try
  for try in $(seq 60); do as_postgres psql -qAtc 'select 1' >/dev/null 2>&1 && break; sleep 1; done
  if [[ $(as_postgres psql -qAtc "select 1 from pg_roles where rolname = 'trastienda'") != 1 ]]; then
    # No password: only the user `trastienda` of this host gets in, by the socket.
    change 'PostgreSQL: rol / role trastienda' as_postgres createuser --no-createdb --no-createrole --no-superuser trastienda
  fi
  if [[ $(as_postgres psql -qAtc "select 1 from pg_database where datname = 'trastienda'") != 1 ]]; then
    change 'PostgreSQL: base / database trastienda' as_postgres createdb --owner trastienda --encoding UTF8 --template template0 trastienda
  fi
}

install_hub() {
  local database=embedded public_url= listen=127.0.0.1:8080 before
  while (($# > 0)); do
    case $1 in
      --database) database=${2:?}; shift 2 ;;
      --public-url) public_url=${2:?}; shift 2 ;;
      --listen) listen=${2:?}; shift 2 ;;
      *) refuse "hub: $1" ;;
    esac
  done
  case $database in
    local | embedded) ;;
    *) [[ -s $database ]] || refuse "--database: local, embedded, o un archivo / or a file" ;;
  esac
  say 'Hub'
  before=$changes
  if ! id trastienda >/dev/null 2>&1; then
    change 'usuario / user trastienda' useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin trastienda
  fi
  program trastienda-hub
  directory "$settings" 0755 root:root
  secret "$settings/master.key" root:trastienda openssl rand -base64 32
  secret "$settings/admin.token" root:trastienda openssl rand -hex 32
  if [[ ! -e $settings/hub.env ]]; then
    case $database in
      local)
        local_database
        put "$settings/database.url" 0640 root:trastienda <<<'postgres://trastienda@%2Frun%2Fpostgresql/trastienda' ;;
      embedded)
        compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
          change 'apt-get install postgresql' env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql ;;
      *) put "$settings/database.url" 0640 root:trastienda <"$database" ;;
    esac
    put "$settings/hub.env" 0640 root:trastienda < <(
      echo '# Los ajustes del hub; docs/operations.md los explica / the hub'\''s settings. Luego / then: systemctl restart trastienda-hub'
      echo 'TRASTIENDA_DATA_DIR=/var/lib/trastienda-hub'
      if [[ $database != embedded ]]; then
        echo "DATABASE_URL_FILE=$settings/database.url"
      fi
      echo "TRASTIENDA_MASTER_KEY_FILE=$settings/master.key"
      echo "TRASTIENDA_ADMIN_TOKEN_FILE=$settings/admin.token"
      echo "TRASTIENDA_LISTEN=$listen"
      if [[ -n $public_url ]]; then echo "TRASTIENDA_PUBLIC_URL=$public_url"; else echo '#TRASTIENDA_PUBLIC_URL=https://hub.example.com'; fi
      echo '#TRASTIENDA_SMTP_URL_FILE=/etc/trastienda/smtp.url'
      echo '#TRASTIENDA_MAIL_FROM=Tienda <hola@example.com>'
      echo '#TRASTIENDA_OPERATOR_EMAIL=ops@example.com'
    )
  else
    own "$settings/hub.env" 0640 root:trastienda
    # Only a database that has to be there again, as after a host was made anew.
    [[ $database == local ]] && local_database
    own "$settings/database.url" 0640 root:trastienda
  fi
  put "$programs_in/trastienda-hubctl" 0755 root:root <"$here/trastienda-hubctl"
  unit trastienda-hub.service
  ((changes == before)) || reload=yes
  reread "$reload"
  running trastienda-hub.service "$reload"
}

install_agent() {
  local shop=${1:-} hub_url= key_file= app_url= group=www-data before
  [[ $shop =~ ^[a-z0-9][a-z0-9_-]*$ ]] || refuse 'agent SHOP: letras minúsculas, cifras y guiones / lower-case letters, digits, dashes'
  shift
  while (($# > 0)); do
    case $1 in
      --hub-url) hub_url=${2:?}; shift 2 ;;
      --key-file) key_file=${2:?}; shift 2 ;;
      --app-url) app_url=${2:?}; shift 2 ;;
      --socket-group) group=${2:?}; shift 2 ;;
      *) refuse "agent: $1" ;;
    esac
  done
  say "Agente / agent $shop"
  before=$changes
  getent group "$group" >/dev/null || refuse "--socket-group $group: no existe / does not exist"
  [[ -n $hub_url || -e $settings/$shop.toml ]] || refuse 'agent: --hub-url URL'
  [[ -n $key_file || -s $settings/$shop.key ]] || refuse 'agent: --key-file FILE'
  [[ -z $key_file || -s $key_file ]] || refuse "$key_file: no está o está vacío / is not there, or empty"
  program trastienda-agent
  directory "$settings" 0755 root:root
  [[ -z $key_file ]] || put "$settings/$shop.key" 0600 root:root <"$key_file"
  own "$settings/$shop.key" 0600 root:root
  if [[ -n $hub_url ]]; then
    put "$settings/$shop.toml" 0644 root:root < <(
      echo '# Los ajustes del agente; docs/agent.md los explica / the agent'\''s settings.'
      echo "hub_url = \"$hub_url\""
      if [[ -n $app_url ]]; then echo "agent_app_url = \"$app_url\""; fi
    )
  fi
  unit trastienda-agent@.service
  unit trastienda-agent@.socket
  if [[ $group != www-data ]]; then
    directory "$units_in/trastienda-agent@$shop.socket.d" 0755 root:root
    put "$units_in/trastienda-agent@$shop.socket.d/group.conf" 0644 root:root < <(printf '[Socket]\nSocketGroup=%s\n' "$group")
  fi
  ((changes == before)) || reload=yes
  reread "$reload"
  running "trastienda-agent@$shop.socket" ''
  running "trastienda-agent@$shop.service" "$reload"
}

# What of ours is enabled here.
installed() { systemctl list-unit-files --no-legend --state=enabled "trastienda-$1*.service" 2>/dev/null | awk '{print $1}'; systemctl list-units --no-legend --plain --all "trastienda-$1@*.service" 2>/dev/null | awk '{print $1}'; }
each_installed() { installed "$1" | grep -v '@\.service$' | sort -u; }

upgrade() {
  local name unit found=
  for name in hub agent; do
    [[ -e $programs_in/trastienda-$name ]] || continue
    found=yes
    say "trastienda-$name"
    program "trastienda-$name"
    local new_program=$fresh before=$changes
    case $name in
      hub) unit trastienda-hub.service; put "$programs_in/trastienda-hubctl" 0755 root:root <"$here/trastienda-hubctl" ;;
      agent) unit trastienda-agent@.service; unit trastienda-agent@.socket ;;
    esac
    ((changes == before)) || reread yes
    [[ -n $new_program ]] || ((changes != before)) || continue
    for unit in $(each_installed $name); do running "$unit" yes; done
  done
  [[ -n $found ]] || refuse 'no hay nada instalado / nothing is installed'
}

rollback() {
  local name=${1:-} unit
  [[ $name == hub || $name == agent ]] || refuse 'rollback hub|agent'
  local current=$programs_in/trastienda-$name previous=$kept_in/trastienda-$name.previous
  [[ -x $previous ]] || refuse "$previous: no hay programa anterior / there is no program before"
  say "trastienda-$name: $("$previous" --version)"
  change "$current <-> $previous" swap "$current" "$previous"
  for unit in $(each_installed "$name"); do running "$unit" yes; done
}
# Each takes the other's place, so that a rollback can be taken back too.
swap() {
  cp -p "$1" "$2.new"
  replace "$2" "$1"
  mv -f "$2.new" "$2"
}

status() {
  local name
  for name in hub agent; do
    [[ -x $programs_in/trastienda-$name ]] || continue
    say "$("$programs_in/trastienda-$name" --version)"
    for unit in $(each_installed "$name"); do say "  $unit: $(systemctl is-active "$unit" || true)"; done
    [[ ! -x $kept_in/trastienda-$name.previous ]] || say "  anterior / before: $("$kept_in/trastienda-$name.previous" --version)"
  done
}

arguments=()
programs=
while (($# > 0)); do
  case $1 in
    --dry-run) dry_run=yes ;;
    --programs) programs=${2:?}; shift ;;
    -h | --help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
if [[ -z $programs ]]; then
  if [[ -x $here/trastienda-hub || -x $here/trastienda-agent ]]; then programs=$here; else programs=$here/../target/release; fi
fi
set -- "${arguments[@]}"
what=${1:-}
[[ -n $what ]] || refuse 'hub, agent, upgrade, rollback, status; --help'
shift
[[ -n $dry_run || $what == status ]] || ((EUID == 0)) || refuse 'hace falta root / root is needed'
umask 022
case $what in
  hub) install_hub "$@" ;;
  agent) install_agent "$@" ;;
  upgrade) upgrade ;;
  rollback) rollback "$@" ;;
  status) status; exit ;;
  *) refuse "$what: hub, agent, upgrade, rollback, status" ;;
esac
if ((changes == 0)); then say 'Sin cambios / nothing to change.'; elif [[ -n $dry_run ]]; then say "Cambiaría / would change: $changes"; fi

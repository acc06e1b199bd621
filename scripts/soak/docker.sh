# Sourced: the machine's Docker engine where one runs, else one of our own, from Debian's packages and ended by its pid, with a
# base image made by debootstrap.
#
#   start_docker DIRECTORY     exports DOCKER_HOST; DIRECTORY holds all that an engine of our own keeps
#   stop_docker                ends an engine of our own, with its containers; what is in DIRECTORY stays
#   make_base                  debian:bookworm-slim, from DEBIAN_MIRROR (default: debootstrap's own)

docker=/usr/bin/docker
docker_bridge=trastienda0

# Says why it cannot, and fails: what was not tried must not look as if it had been.
not_run() {
  echo "NOT RUN: $*" >&2
  exit 1
}

# PACKAGE…: installs what is missing; services do not start by it.
need_packages() {
  local package missing=() policy=/usr/sbin/policy-rc.d
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]} > 0)) || return 0
  ((EUID == 0)) || not_run "install ${missing[*]}, and run this as root"
  local made_policy=
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=yes
  fi
  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null ||
    { [[ -z $made_policy ]] || rm -f "$policy"; not_run "apt-get could not install ${missing[*]}"; }
  [[ -z $made_policy ]] || rm -f "$policy"
}

start_docker() {
  local home=$1 try
  need_packages docker.io docker-compose debootstrap iptables iproute2
  docker_home=$home
  mkdir -p "$home"
  if "$docker" version >/dev/null 2>&1; then
    echo 'the engine that runs here'
    return 0
  fi
  ((EUID == 0)) || not_run 'a Docker engine needs root'
  export DOCKER_HOST=unix://$home/sock
  ip link show "$docker_bridge" >/dev/null 2>&1 || ip link add "$docker_bridge" type bridge
  ip address replace 172.31.255.1/24 dev "$docker_bridge"
  ip link set "$docker_bridge" up
  setsid dockerd --host "$DOCKER_HOST" --data-root "$home/root" --exec-root "$home/exec" --pidfile "$home/pid" \
    --bridge "$docker_bridge" --default-address-pool base=172.31.0.0/17,size=24 >"$home/log" 2>&1 &
  docker_pid=$!
  for try in $(seq 120); do
    "$docker" version >/dev/null 2>&1 && return 0
    kill -0 "$docker_pid" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 5 "$home/log" >&2
  not_run 'the Docker engine does not start here'
}

stop_docker() {
  [[ -n ${docker_pid:-} ]] || return 0
  local containers
  containers=$("$docker" ps -aq 2>/dev/null || true)
  # shellcheck disable=SC2086 # Ids are words.
  [[ -z $containers ]] || "$docker" rm -f $containers >/dev/null 2>&1 || true
  kill "$docker_pid" 2>/dev/null || true
  wait "$docker_pid" 2>/dev/null || true
  docker_pid=
  ip link delete "$docker_bridge" 2>/dev/null || true
}

make_base() {
  "$docker" image inspect debian:bookworm-slim >/dev/null 2>&1 && return 0
  local root=$docker_home/bookworm mirror=()
  [[ -z ${DEBIAN_MIRROR:-} ]] || mirror=("$DEBIAN_MIRROR")
  echo "debian:bookworm-slim <- debootstrap ${mirror[*]:-}"
  debootstrap --variant=minbase bookworm "$root" "${mirror[@]}" >"$docker_home/debootstrap.log" 2>&1 ||
    { tail -n 5 "$docker_home/debootstrap.log" >&2; not_run 'debootstrap failed'; }
  rm -rf "$root"/usr/share/{doc,man,locale,info,lintian} "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
  tar -C "$root" -c . | "$docker" import - debian:bookworm-slim >/dev/null
  rm -rf "$root"
}

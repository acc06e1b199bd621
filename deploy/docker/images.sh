#!/usr/bin/env bash
# Builds the images of docker-compose.yml.
#
#   deploy/docker/images.sh            the programs are compiled in a stage: needs Docker alone
#   deploy/docker/images.sh --host     the programs are compiled here (Debian 12), with cargo
#   deploy/docker/images.sh --host DIRECTORY    they are in DIRECTORY, compiled on Debian 12
#
# TRASTIENDA_TAG names the images' tag (default: latest).
set -euo pipefail
cd "$(dirname "$0")/../.."
tag=${TRASTIENDA_TAG:-latest}
docker=${DOCKER:-docker}

programs=built
if [[ ${1:-} == --host ]]; then
  programs=host
  built=${2:-}
  if [[ -z $built ]]; then
    SQLX_OFFLINE=true cargo build --workspace --bins --lib --release
    built=${CARGO_TARGET_DIR:-target}/release
  fi
  mkdir -p target/dist
  for file in trastienda-hub trastienda-agent libtrastienda.so; do
    strip --strip-debug -o "target/dist/$file" "$built/$file"
  done
fi

for image in database hub agent shop web mail; do
  echo "== trastienda/$image:$tag"
  DOCKER_BUILDKIT=1 "$docker" build --quiet --build-arg PROGRAMS=$programs --target $image --tag "trastienda/$image:$tag" \
    --file deploy/docker/Dockerfile .
done

#!/usr/bin/env bash
# Two versions side by side: an older commit's programs, built in a directory of their own, and those of now.
#
#   scripts/soak/upgrade.sh [COMMIT]
#
# Without one: the newest tag, or else the state before the newest merge; never older than the commit from which on a hub starts
# beside the migrations of a newer one.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
floor=$(git log --format=%H --grep='^hub/db: Start beside the migrations of a newer hub$' -1)
commit=${1:-}
if [[ -z $commit ]]; then
  commit=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || git rev-list --merges --max-count 1 --format=%P --no-commit-header HEAD | cut -d' ' -f1)
  if [[ -z $commit ]] || { [[ -n $floor ]] && ! git merge-base --is-ancestor "$floor" "$commit"; }; then commit=${floor:-HEAD~10}; fi
fi
commit=$(git rev-parse --verify --quiet "$commit^{commit}") || { echo "NOT RUN: there is no commit ${1:-to be the older one} here; name one" >&2; exit 1; }
older=$target/older
echo "older: $(git log -1 --format='%h %s' "$commit")"
echo "newer: $(git log -1 --format='%h %s')"

if [[ $(cat "$older/commit" 2>/dev/null) != "$commit" ]]; then
  rm -rf "$older/source" "$older/commit"
  mkdir -p "$older/source"
  git archive "$commit" | tar -x -C "$older/source"
  # What does not change from version to version has been compiled.
  if [[ ! -e $older/target && -d $target/ci ]]; then
    mkdir -p "$older/target"
    cp -a "$target/ci" "$older/target/ci"
  fi
  (cd "$older/source" && CARGO_TARGET_DIR=$older/target cargo build --workspace --bins --lib --profile ci)
  echo "$commit" >"$older/commit"
fi
exec "$target/ci/side-by-side" --older "$older/target/ci"

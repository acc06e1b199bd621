#!/usr/bin/env bash
# The ten largest source files, and none over 600 lines outside tests.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=600
sizes=$(git ls-files '*.rs' '*.php' '*.py' '*.sh' '*.sql' | grep -v -E '(^|/)tests?/' | xargs wc -l | grep -v ' total$' | sort -rn)
echo "$sizes" | head -n 10
echo "median: $(echo "$sizes" | awk '{print $1}' | sort -n | awk '{a[NR]=$1} END {print a[int((NR+1)/2)]}') lines"
large=$(echo "$sizes" | awk -v limit=$limit '$1 > limit {print $2}')
if [[ -n $large ]]; then
  echo "over $limit lines: $large" >&2
  exit 1
fi

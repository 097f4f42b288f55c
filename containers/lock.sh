#!/usr/bin/env bash
# Writes the locks of the images anew: the newest versions, with the hashes of all their files.
# Needs uv (`pip install uv`). Try them afterwards: `python -m experiments.containers.replay`.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # name of the lock, what goes into it
  uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header \
    --python-version 3.12 --python-platform linux --output-file "containers/locks/$1.txt" "${@:2}"
}

for provider in cpu gpu; do
  echo "opencv-python-headless>=4.11" |
    lock "$provider" --extra "$provider" --extra serve --override containers/headless.txt \
      pyproject.toml -
done
echo hatchling | lock build -

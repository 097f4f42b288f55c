#!/usr/bin/env bash
# Compares MODEL as it is here with MODEL as it is at BASE_REF: the step of the action, and of
# `.ci/run`. Exit code: that of `depthrt bench compare`, 4 when the gate has failed.
#
#   MODEL=depth.onnx BASE_REF=main FAIL_ABOVE=1.05 bash compare.sh
#
# Where there is nothing to compare, no gate passes: a model that is as it was at BASE_REF, or that
# was not there, is said to be so, without a figure (0); a BASE_REF that is the very commit that is
# checked out could never show anything, and fails the gate (4).
#
# BASE_MODEL names a file instead of a ref. Beside the exit code: Markdown in GITHUB_STEP_SUMMARY,
# `verdict`, `ratio` and `table` in GITHUB_OUTPUT, JSON in HISTORY.
set -euo pipefail
# shellcheck source=base.sh
. "$(dirname "${BASH_SOURCE[0]}")/base.sh"
: "${MODEL:?the path of a depthrt .onnx file}"
output=${GITHUB_OUTPUT:-/dev/null}
history=${HISTORY:-depthrt-bench}
work=$(mktemp -d "${RUNNER_TEMP:-/tmp}/depthrt-bench.XXXXXX")
summary=${GITHUB_STEP_SUMMARY:-$work/summary.md}
leave() {
  [ -n "${GITHUB_STEP_SUMMARY:-}" ] || cat "$summary" 2>/dev/null || true
  rm -rf "$work"
}
trap leave EXIT

not_compared() { # why, and what `verdict` says
  { echo "### depthrt bench: $MODEL"; echo; echo "Not compared: $1."; } >>"$summary"
  echo "verdict=$2" >>"$output"
}

find_base
case "$state" in
  itself)
    not_compared "$why" ""
    [ -z "${FAIL_ABOVE:-}" ] || exit 4
    exit 0
    ;;
  unchanged)
    not_compared "$why" unchanged
    exit 0
    ;;
  absent)
    not_compared "$why" ""
    exit 0
    ;;
esac

gate=()
[ -z "${FAIL_ABOVE:-}" ] || gate=(--fail-above "$FAIL_ABOVE")
code=0
depthrt bench compare "$base" "$MODEL" "${gate[@]}" --seconds "${BENCH_SECONDS:-60}" \
  --markdown "$work/table.md" --history "$history" --json >"$work/compare.json" || code=$?

if [ -s "$work/table.md" ]; then
  { echo "### depthrt bench: $MODEL"; echo; cat "$work/table.md"; } >>"$summary"
  {
    python3 -c 'import json, sys
found = json.load(open(sys.argv[1]))
print("verdict=" + found["verdict"])
print("ratio=" + str(found["ratio"]))' "$work/compare.json"
    cp "$work/table.md" "$history/table.md"
    echo "table=$history/table.md"
  } >>"$output"
elif [ "$code" -ne 0 ]; then
  not_compared "depthrt bench compare ended with $code, the log says why" ""
fi
exit "$code"

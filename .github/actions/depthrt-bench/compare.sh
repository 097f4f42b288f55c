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

if [ ! -f "$MODEL" ]; then
  echo "depthrt-bench: there is no model at $MODEL" >&2
  exit 2
fi

not_compared() { # why, and what `verdict` says
  { echo "### depthrt bench: $MODEL"; echo; echo "Not compared: $1."; } >>"$summary"
  echo "verdict=$2" >>"$output"
}

base=${BASE_MODEL:-}
if [ -z "$base" ]; then
  : "${BASE_REF:?a branch or commit, or BASE_MODEL}"
  MODEL=$(realpath --relative-to=. "$MODEL")
  case "$MODEL" in
    ../*)
      echo "depthrt-bench: $MODEL is outside the working folder: name the model from within" >&2
      exit 2
      ;;
  esac
  if [ -z "${BASE_REF//0/}" ]; then # so says a push of the commit before a branch's first
    not_compared "nothing was there before this branch" ""
    exit 0
  fi
  # A checkout of CI knows no other branch by its own name, and a shallow one none at all.
  if ! git rev-parse -q --verify "$BASE_REF^{commit}" >/dev/null; then
    if git rev-parse -q --verify "origin/$BASE_REF^{commit}" >/dev/null; then
      BASE_REF=origin/$BASE_REF
    else
      shallow=()
      [ "$(git rev-parse --is-shallow-repository)" = false ] || shallow=(--depth 1)
      if ! git fetch -q "${shallow[@]}" origin "$BASE_REF"; then
        echo "depthrt-bench: there is no $BASE_REF, neither here nor at origin" >&2
        exit 2
      fi
      BASE_REF=FETCH_HEAD
    fi
  fi
  if ! git cat-file -e "$BASE_REF:./$MODEL" 2>/dev/null; then
    not_compared "there is no $MODEL at $BASE_REF, so nothing to compare with" ""
    exit 0
  fi
  base="$work/base.onnx"
  git show "$BASE_REF:./$MODEL" >"$base"
  if head -c 60 "$base" | grep -q "git-lfs"; then
    git lfs smudge <"$base" >"$work/smudged.onnx"
    base="$work/smudged.onnx"
  fi
  if cmp -s "$base" "$MODEL"; then
    if [ "$(git rev-parse "$BASE_REF^{commit}")" = "$(git rev-parse HEAD)" ]; then
      not_compared "$BASE_REF is the commit that is checked out: name another as the base" ""
      [ -z "${FAIL_ABOVE:-}" ] || exit 4
      exit 0
    fi
    not_compared "$MODEL is as it was at $BASE_REF" unchanged
    exit 0
  fi
fi

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

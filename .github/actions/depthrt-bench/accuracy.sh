#!/usr/bin/env bash
# Does MODEL see depth well enough on SETS, and surely no worse than at BASE_REF? The step of the
# action, and of `.ci/run`. Exit code: that of `depthrt eval`, 3 when a gate has failed.
#
#   MODEL=depth.onnx SETS=tests/depth_sets BASE_REF=main MAX_ABS_REL=0.2 FAIL_WORSE=1% bash accuracy.sh
#
# FAIL_WORSE holds the model against the base's; where there is no base to compare with (it is as it
# was, or was not there), that is said, and MAX_ABS_REL alone judges. A BASE_REF that is the very
# commit that is checked out could never show anything, and fails the gate (3).
#
# BASE_MODEL names a file instead of a ref. Beside the exit code: Markdown in GITHUB_STEP_SUMMARY,
# `accuracy` and `table` in GITHUB_OUTPUT, JSON in HISTORY.
set -euo pipefail
# shellcheck source=base.sh
. "$(dirname "${BASH_SOURCE[0]}")/base.sh"
: "${MODEL:?the path of a depthrt .onnx file}" "${SETS:?a folder of labelled sets}"
output=${GITHUB_OUTPUT:-/dev/null}
history=${HISTORY:-depthrt-bench}
work=$(mktemp -d "${RUNNER_TEMP:-/tmp}/depthrt-accuracy.XXXXXX")
summary=${GITHUB_STEP_SUMMARY:-$work/summary.md}
leave() {
  [ -n "${GITHUB_STEP_SUMMARY:-}" ] || cat "$summary" 2>/dev/null || true
  rm -rf "$work"
}
trap leave EXIT

tell() { # what `accuracy` says, and lines of Markdown
  { echo "### depthrt eval: $MODEL"; echo; printf '%s\n' "${@:2}"; } >>"$summary"
  echo "accuracy=$1" >>"$output"
}

options=(--no-video --json)
note="" beside=""
[ -z "${MAX_ABS_REL:-}" ] || options+=(--max-abs-rel "$MAX_ABS_REL")
if [ -n "${FAIL_WORSE:-}" ]; then
  find_base
  if [ "$state" = itself ]; then
    tell failed "Not compared: $why."
    exit 3
  elif [ -n "$base" ]; then
    options+=(--compare "$base" --fail-worse "$FAIL_WORSE")
    beside=1
  else
    note="Not compared: $why."
  fi
fi
if [ -n "${MIN_IMAGES:-}" ] && [ -n "${MAX_ABS_REL:-}$beside" ]; then
  options+=(--min-images "$MIN_IMAGES")
fi

code=0
depthrt eval "$MODEL" "$SETS" "${options[@]}" >"$work/eval.json" || code=$?
if [ ! -s "$work/eval.json" ]; then
  tell failed "Not judged: depthrt eval ended with $code, the log says why."
  exit "$code"
fi
mkdir -p "$history"
cp "$work/eval.json" "$history/accuracy.json"
python3 - "$work/eval.json" >"$history/accuracy.md" <<'PYTHON'
import json
import sys

found = json.load(open(sys.argv[1], encoding="utf-8"))
print("| set | model | images | AbsRel | delta1 |\n| --- | --- | --- | --- | --- |")
for one in found["evaluations"]:
    abs_rel, delta1 = (one["metrics"][key] for key in ("abs_rel", "delta1"))
    spans = [f"{m['value']:.4f} ({m['low']:.4f} to {m['high']:.4f})" for m in (abs_rel, delta1)]
    cells = [one["dataset"], one["model"], str(one["images"]), *spans]
    print("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
print()
for name, gate in (("AbsRel", "gate"), ("Beside the base", "fail_worse")):
    if gate in found:
        judged = found[gate]
        state = "passed" if judged["passed"] else "failed"
        print(f"{name}: **{state}**" + "".join(f"; {why}" for why in judged["failures"]) + ".\n")
for one in found.get("fail_worse", {}).get("comparisons", []):
    if one["difference"] is not None:
        print(
            f"{one['dataset']}: AbsRel {one['abs_rel']:.4f} against {one['base_abs_rel']:.4f}, "
            f"{one['difference']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f}), "
            f"{one['allowed']:+.4f} is allowed.\n"
        )
for one in found["evaluations"]:
    for line in one["warnings"]:
        print(f"- {one['model']} on {one['dataset']}: {line}")
PYTHON
[ -z "$note" ] || printf '\n%s\n' "$note" >>"$history/accuracy.md"
verdict=passed
[ "$code" = 0 ] || verdict=failed
[ -n "${MAX_ABS_REL:-}$beside" ] || verdict=""
tell "$verdict" "$(cat "$history/accuracy.md")"
echo "table=$history/accuracy.md" >>"$output"
exit "$code"

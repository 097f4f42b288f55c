# The model as it was at BASE_REF: sourced by compare.sh and accuracy.sh, which set MODEL and `work`.
#
# find_base sets
#   base      a file: the model at BASE_REF, or BASE_MODEL; empty where there is none to compare with
#   why       then: why there is none, in words
#   state     found; unchanged: the model is as it was; itself: BASE_REF is the very commit that is
#             checked out, so nothing could ever show; absent: it was not there
# and MODEL, relative to the working folder. Exits with 2 where the settings cannot be used.

find_base() {
  base=${BASE_MODEL:-} why="" state=found
  if [ ! -f "$MODEL" ]; then
    echo "depthrt-bench: there is no model at $MODEL" >&2
    exit 2
  fi
  [ -z "$base" ] || return 0
  : "${BASE_REF:?a branch or commit, or BASE_MODEL}"
  MODEL=$(realpath --relative-to=. "$MODEL")
  case "$MODEL" in
    ../*)
      echo "depthrt-bench: $MODEL is outside the working folder: name the model from within" >&2
      exit 2
      ;;
  esac
  if [ -z "${BASE_REF//0/}" ]; then # so says a push of the commit before a branch's first
    no_base absent "nothing was there before this branch"
    return 0
  fi
  # A checkout of CI knows no other branch by its own name, and a shallow one none at all.
  if ! git rev-parse -q --verify "$BASE_REF^{commit}" >/dev/null; then
    if git rev-parse -q --verify "origin/$BASE_REF^{commit}" >/dev/null; then
      BASE_REF=origin/$BASE_REF
    else
      local shallow=()
      [ "$(git rev-parse --is-shallow-repository)" = false ] || shallow=(--depth 1)
      if ! git fetch -q "${shallow[@]}" origin "$BASE_REF"; then
        echo "depthrt-bench: there is no $BASE_REF, neither here nor at origin" >&2
        exit 2
      fi
      BASE_REF=FETCH_HEAD
    fi
  fi
  if ! git cat-file -e "$BASE_REF:./$MODEL" 2>/dev/null; then
    no_base absent "there is no $MODEL at $BASE_REF, so nothing to compare with"
    return 0
  fi
  base="$work/base.onnx"
  git show "$BASE_REF:./$MODEL" >"$base"
  if head -c 60 "$base" | grep -q "git-lfs"; then
    git lfs smudge <"$base" >"$work/smudged.onnx"
    base="$work/smudged.onnx"
  fi
  if cmp -s "$base" "$MODEL"; then
    if [ "$(git rev-parse "$BASE_REF^{commit}")" = "$(git rev-parse HEAD)" ]; then
      no_base itself "$BASE_REF is the commit that is checked out: name another as the base"
    else
      no_base unchanged "$MODEL is as it was at $BASE_REF"
    fi
  fi
}

no_base() { # state, why
  base="" state=$1 why=$2
}

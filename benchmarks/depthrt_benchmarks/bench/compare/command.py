"""`depthrt bench compare BASE HEAD`: what its two words mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from depthrt.errors import UsageError
from depthrt_benchmarks.bench.compare.compare import (
    check_rules,
    check_setting,
    compare,
    parse_sides,
)
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules
from depthrt_benchmarks.bench.compare.with_json import compare_with_earlier


def compare_texts(
    base: str,
    head: str,
    model: str | None,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """What `depthrt bench compare BASE HEAD` does.

    Raises:
        DepthrtError: a side or a setting that cannot be had.
    """
    check_rules(rules)
    check_setting(setting)
    if head.endswith(".json"):
        raise UsageError(f"{head}: HEAD is measured now; give the earlier JSON as BASE")
    if base.endswith(".json"):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE is a JSON here")
        return compare_with_earlier(Path(base), head, setting, rules, progress)
    sides = parse_sides(base, head, model)
    return compare(sides[0], sides[1], setting, rules, progress)

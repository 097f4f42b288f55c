"""`depthrt bench compare BASE HEAD`, without its options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from depthrt.errors import UsageError
from depthrt_benchmarks.bench.compare.base_and_head import check_rules, check_setting, parse_sides
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting
from depthrt_benchmarks.bench.compare.interleaved import run_interleaved
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules
from depthrt_benchmarks.bench.compare.with_json import run_against_json


def compare(
    base: str,
    head: str,
    model: str | None,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """Compare two models, a model with an earlier JSON, or two environments.

    Args:
        base: a model, a JSON of `depthrt bench --json`, or an environment.
        head: a model, or an environment.
        model: what two environments run.
        setting: how both are run.
        rules: when the comparison is over.
        progress: told of every block.

    Raises:
        DepthrtError: a side or a setting that cannot be used.
    """
    check_rules(rules)
    check_setting(setting)
    if head.endswith(".json"):
        raise UsageError(f"{head}: HEAD is measured now; give the earlier JSON as BASE")
    if base.endswith(".json"):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE is a JSON here")
        return run_against_json(Path(base), head, setting, rules, progress)
    sides = parse_sides(base, head, model)
    return run_interleaved(sides[0], sides[1], setting, rules, progress)

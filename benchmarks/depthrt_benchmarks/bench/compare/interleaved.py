"""Two sides run in turn on the same frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from depthrt.model.depth_model import DepthModel
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare import distinct_sides
from depthrt_benchmarks.bench.compare.base_and_head import check_rules, check_setting
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules, time_in_turn
from depthrt_benchmarks.bench.measure.frames import Size, network_feed, picture_feed
from depthrt_benchmarks.bench.measure.runners import Local, Remote, Workload
from depthrt_benchmarks.common.ratio_interval import percentiles


def run_interleaved(
    base: Side,
    head: Side,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """Run both in turn on the same frames and compare their times.

    Raises:
        ModelError, ProviderError, InferenceError: of either side.
        UsageError: a size or batch that a side does not take.
        LatencyGateError: there is a gate, and both sides are the same, or ran on two providers.
    """
    check_rules(rules)
    check_setting(setting)
    threads = setting.threads or usable_cores()
    sides, gated = (base, head), rules.fail_above is not None
    runners: list[Local | Remote] = []
    facts: list[dict[str, Any]] = []
    sizes: list[Size] = []
    try:
        for side in sides:
            model = DepthModel.load(side.model, provider="cpu", threads=1)
            feed = (
                picture_feed()
                if setting.what == "frame"
                else network_feed(model, setting.batch, setting.size)
            )
            given = model.spec.input
            framed = setting.what == "frame"
            sizes.append((given.height, given.width) if framed else feed.shape[2:])
            load = Workload(side.model, setting.provider, threads, feed, setting.what)
            runners.append(Local(load) if side.python is None else Remote(load, side.python))
            facts.append({"sha256": model.sha256(), "precision": model.spec.precision})
        if gated:
            for runner in runners:
                if isinstance(runner, Remote):  # says what it imports once it is open
                    runner.open()
            twice = distinct_sides.one_side_twice(sides, facts, runners)
            distinct_sides.refuse_one_side_twice(twice)
        pairs = time_in_turn(runners[0], runners[1], rules, progress)
    finally:
        for runner in runners:
            runner.close()
    for runner, known in zip(runners, facts, strict=True):
        known["bound_provider"] = runner.bound
        if isinstance(runner, Remote):
            known["versions"] = runner.facts.get("versions", {})
    if gated:
        distinct_sides.refuse_two_providers(facts)
    latency_ms = (percentiles(pairs.times_ms(0)), percentiles(pairs.times_ms(1)))
    notes = (*size_note(base, head, sizes), *distinct_sides.notes(sides, facts, runners))
    return Comparison(
        base, head, setting, rules, pairs, (facts[0], facts[1]), latency_ms, notes=notes
    )


def size_note(base: Side, head: Side, sizes: Sequence[Size]) -> tuple[str, ...]:
    """The sentence for networks that were fed with pictures of two sizes (height, width)."""
    if sizes[0] == sizes[1]:
        return ()
    (h, w), (head_h, head_w) = sizes
    return (f"not of one size: {base.label} ran at {h}x{w}, {head.label} at {head_h}x{head_w}",)

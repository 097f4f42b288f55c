"""`depthrt bench compare`: is HEAD slower than BASE?"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.registry import find_model
from depthrt.model.session import usable_cores
from depthrt_benchmarks.bench.compare import sameness
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.pairs import Pairs, Rules, compare_in_turn
from depthrt_benchmarks.bench.measure.frames import Size, network_feed, picture_feed
from depthrt_benchmarks.bench.measure.runners import Load, Local, Remote
from depthrt_benchmarks.common.ratio_interval import percentiles


def parse_sides(base: str, head: str, model: str | None) -> tuple[Side, Side]:
    """What BASE and HEAD mean: model files or names, or environments that run ``model``.

    Raises:
        UsageError: an environment beside a model, or ``--model`` without any environment.
    """
    pythons = (environment_python(base), environment_python(head))
    if not any(pythons):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE and HEAD are models here")
        labels = labels_of(base, head)
        return Side(labels[0], find_model(base)), Side(labels[1], find_model(head))
    if not all(pythons):
        raise UsageError(
            f"{base} and {head}: one is an environment, the other is not; give two environments "
            "(folders made by python -m venv) and --model, or two models"
        )
    path = find_model(model)
    sides = [Side(text, path, python) for text, python in zip((base, head), pythons, strict=True)]
    return sides[0], sides[1]


def labels_of(*texts: str) -> list[str]:
    """Short names: file stems, with as many folders before them as tell all apart."""
    parts = [Path(text).with_suffix("").parts for text in texts]
    for count in range(1, max(len(names) for names in parts) + 1):
        labels = ["/".join(names[-count:]) for names in parts]
        if len(set(labels)) == len(labels):
            return labels
    return list(texts)


def environment_python(text: str) -> Path | None:
    """The Python of an environment's folder, or the path itself where it is a Python."""
    path = Path(text)
    for place in (path / "bin" / "python", path / "Scripts" / "python.exe"):
        if path.is_dir() and place.is_file():
            return place
    is_python = path.name.startswith("python") and path.is_file() and os.access(path, os.X_OK)
    return path if is_python else None


def compare(
    base: Side,
    head: Side,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None] = lambda pairs: None,
) -> Comparison:
    """Run both in turn on the same frames and say what can be said.

    Raises:
        ModelError, ProviderError, InferenceError: of either side.
        UsageError: a size or batch that one of both does not take.
        LatencyGateError: there is a gate, and both sides are one, or ran on two providers.
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
            load = Load(side.model, setting.provider, threads, feed, setting.what)
            runners.append(Local(load) if side.python is None else Remote(load, side.python))
            facts.append({"sha256": model.sha256(), "precision": model.spec.precision})
        if gated:
            for runner in runners:
                if isinstance(runner, Remote):  # which says only then what it imports
                    runner.open()
            sameness.refuse_one_side_twice(sameness.one_side_twice(sides, facts, runners))
        pairs = compare_in_turn(runners[0], runners[1], rules, progress)
    finally:
        for runner in runners:
            runner.close()
    for runner, known in zip(runners, facts, strict=True):
        known["bound_provider"] = runner.bound
        if isinstance(runner, Remote):
            known["versions"] = runner.facts.get("versions", {})
    if gated:
        sameness.refuse_two_providers(facts)
    latency_ms = (percentiles(pairs.times_ms(0)), percentiles(pairs.times_ms(1)))
    notes = (*size_note(base, head, sizes), *sameness.notes(sides, facts, runners))
    return Comparison(
        base, head, setting, rules, pairs, (facts[0], facts[1]), latency_ms, notes=notes
    )


def size_note(base: Side, head: Side, sizes: Sequence[Size]) -> tuple[str, ...]:
    """The sentence for networks that were fed with pictures of two sizes (height, width)."""
    if sizes[0] == sizes[1]:
        return ()
    (h, w), (head_h, head_w) = sizes
    return (f"not of one size: {base.label} ran at {h}x{w}, {head.label} at {head_h}x{head_w}",)


def check_rules(rules: Rules) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: what is out of range.
    """
    if not 0 < rules.alpha < 0.5:
        raise UsageError(f"--confidence {1 - rules.alpha:g} must lie between 0.5 and 1")
    if not 0 <= rules.margin < math.inf:
        raise UsageError(f"--margin {rules.margin:g} must be a number, not below 0")
    if rules.fail_above is not None and not 1 <= rules.fail_above < math.inf:
        raise UsageError(f"--fail-above {rules.fail_above:g} must be at least 1: 1.05 allows 5%")
    if not 0 < rules.limit_s < math.inf:
        raise UsageError(f"--seconds {rules.limit_s:g} must be a number above 0")


def check_setting(setting: Setting) -> None:
    """Refuse what a whole frame cannot heed: it is one picture, as it was filmed.

    Raises:
        UsageError: a batch or a size beside ``frame``.
    """
    given = {
        f"--batch {setting.batch}": setting.batch != 1,
        f"--size {'x'.join(map(str, setting.size or ()))}": setting.size is not None,
    }
    wrong = [option for option, said in given.items() if said]
    if setting.what == "frame" and wrong:
        raise UsageError(
            f"--frame runs one picture as it was filmed: leave out {' and '.join(wrong)}"
        )

"""A model against an earlier result of `depthrt bench --json`.

Where the earlier model is still at hand, both run in turn as usual. Where only its JSON is left,
what is compared is each model's time over the yardstick's (the built-in model), which ran in turn
with it on either day: the day's speed of the machine cancels.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt.models import find_model
from depthrt.session import usable_cores
from depthrt.tuned import file_sha256
from depthrt_benchmarks.bench.compare import Comparison, Setting, Side, compare, size_note
from depthrt_benchmarks.bench.measure import Wanted, cells_of, turn, warm_up, yardstick
from depthrt_benchmarks.bench.pairs import FEWEST_BLOCKS, LOOKS, Pairs, Rules
from depthrt_benchmarks.bench.report import size_text
from depthrt_benchmarks.bench.statistics import earlier_interval, look_times_s, percentiles
from depthrt_benchmarks.environment import environment


def compare_with_earlier(
    path: Path, head: str, setting: Setting, rules: Rules, progress: Callable[[Pairs], None]
) -> Comparison:
    """Compare a model with what an earlier JSON says of another, or of itself.

    Raises:
        UsageError: no such document, no cell of this setting, another machine or yardstick.
    """
    if setting.what == "frame":
        raise UsageError("--frame needs two models: the earlier JSON holds the network alone")
    document = read_json(path)
    cell = _cell(document, path, setting)
    model = next(m for m in document["models"] if m["model"] == cell["model"])
    sha256, said = model["sha256"], setting
    setting = _at_its_size(cell, model, said)
    side = Side(Path(head).stem, find_model(head))
    standing = _standing(cell["model"], sha256, path, document)
    try:
        if standing is not None:
            base = Side(f"{cell['model']} of {path.name}", standing)
            return compare(base, side, setting, rules, progress)
        _check_alike(document, path)
        return _by_yardstick(document, cell, sha256, path, side, setting, rules, progress)
    except UsageError as error:
        if setting == said:
            raise
        raise UsageError(
            f"{path} was measured at {size_text(cell['size'])} (say --size to choose): {error}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UsageError: no such file, or something else in it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no JSON object")
    return content


def _cell(document: dict[str, Any], path: Path, setting: Setting) -> dict[str, Any]:
    """The one cell of the earlier result that was measured as asked for now."""
    threads = setting.threads or usable_cores()
    try:
        fit = [
            cell
            for cell in document["cells"]
            if (cell["bound_provider"], cell["threads"], cell["batch"])
            == (setting.provider, threads, setting.batch)
            and setting.size in (None, tuple(cell["size"]))
        ]
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is no result of `depthrt bench --json`") from error
    what = f"{setting.provider}, {threads} threads, batch {setting.batch}"
    what += "" if setting.size is None else f", size {size_text(setting.size)}"
    if not fit:
        raise UsageError(f"{path} holds nothing measured on {what}: run `depthrt bench` so")
    if len(fit) > 1:
        names = ", ".join(f"{cell['model']} at {size_text(cell['size'])}" for cell in fit)
        raise UsageError(
            f"{path} holds more than one on {what} ({names}): say --size, or give one of one model"
        )
    found: dict[str, Any] = fit[0]
    return found


def _at_its_size(cell: dict[str, Any], model: dict[str, Any], setting: Setting) -> Setting:
    """The setting at the cell's size, where that was asked for then: it is not its model's own."""
    if setting.size is not None or cell["size"] == model.get("size"):
        return setting
    height, width = cell["size"]
    return replace(setting, size=(height, width))


def _standing(name: str, sha256: str, path: Path, document: dict[str, Any]) -> Path | None:
    """The earlier model's file: beside the JSON, here, or built in; None where it is gone."""
    file = next(m["file"] for m in document["models"] if m["model"] == name)
    for place in (path.parent / file, Path(file), find_model(None)):
        if place.is_file() and file_sha256(place) == sha256:
            return place
    return None


def _check_alike(document: dict[str, Any], path: Path) -> None:
    here = environment()["machine"]
    if document.get("machine") != here:
        raise UsageError(
            f"{path} was measured on another machine ({document.get('machine')}), and its model is "
            "not at hand to be measured here: put the file beside the JSON"
        )
    yard = document.get("yardstick", {})
    if yard.get("sha256") != file_sha256(find_model(None)):
        raise UsageError(
            f"{path} was measured beside another built-in model than today's, and its own model "
            "is not at hand: put the file beside the JSON"
        )


def _by_yardstick(
    document: dict[str, Any],
    cell: dict[str, Any],
    sha256: str,
    path: Path,
    side: Side,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None],
) -> Comparison:
    times, standards = cell["blocks_ms"], document["yardstick"]["blocks_ms"]
    past = [math.log(a / b) for a, b in zip(times, standards, strict=False)]
    if len(past) < FEWEST_BLOCKS:
        raise UsageError(f"{path} holds {len(past)} turns of {FEWEST_BLOCKS}: measure it again")
    only = None if setting.size is None else (setting.size,)
    wanted = Wanted((setting.provider,), (cell["threads"],), (setting.batch,), only)
    (head,) = cells_of([side.label], [side.model], wanted)
    standard = yardstick()
    for one in (standard, head):
        warm_up(one)
    pairs, begin_s = Pairs(), time.perf_counter()
    due = look_times_s(rules.limit_s, LOOKS)
    while due:
        taken = [statistics.median(turn(one)) for one in (standard, head)]
        pairs.blocks.append([(taken[0], taken[1])])
        pairs.seconds = time.perf_counter() - begin_s
        if pairs.seconds >= due[0] and len(pairs.blocks) >= FEWEST_BLOCKS:
            due = [at_s for at_s in due if at_s > pairs.seconds]
            now = [block[0] for block in pairs.log_ratios()]
            pairs.interval = earlier_interval(past, now, rules.alpha / LOOKS)
            pairs.looks += 1
            pairs.sure = rules.sure(pairs.interval)
        progress(pairs)
        if pairs.sure:
            break
    base = Side(f"{cell['model']} of {path.name}", path)
    then = {key: cell[key] for key in ("precision", "bound_provider")}
    now_facts = {
        "sha256": head.model.sha256(),
        "precision": head.model.spec.precision,
        "bound_provider": head.runner.bound,
    }
    facts = ({"sha256": sha256, **then}, now_facts)
    versions = environment()["versions"]
    changed = [
        f"{name}: {was} then, {versions.get(name, 'none')} now"
        for name, was in document["versions"].items()
        if versions.get(name) != was
    ]
    height, width = cell["size"]
    sizes = size_note(base, side, ((height, width), head.size))
    notes = ("not measured together: a model file beside the JSON would be", *sizes, *changed)
    latencies = (cell["latency_ms"], percentiles(head.taken_ms))
    return Comparison(base, side, setting, rules, pairs, facts, latencies, False, notes)

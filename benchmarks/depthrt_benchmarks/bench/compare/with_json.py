"""A model against an earlier result of `depthrt bench --json`.

Where the earlier model's file is found, both models run in turn as usual. Where only the JSON is
left, each model's time is divided by that of the yardstick (the built-in model), which ran in turn
with it on both days, so the machine's speed of the day cancels.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.files.file_hash import file_sha256
from depthrt.files.json_file import is_plain_name, short
from depthrt.model.catalogue.registry import find_model
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.compare.comparison import Comparison, Setting, Side
from depthrt_benchmarks.bench.compare.distinct_sides import refuse_one_side_twice
from depthrt_benchmarks.bench.compare.earlier_json import Earlier, EarlierCell, read_earlier
from depthrt_benchmarks.bench.compare.interleaved import run_interleaved, size_note
from depthrt_benchmarks.bench.compare.pairs import FEWEST_BLOCKS, LOOKS, Pairs, Rules
from depthrt_benchmarks.bench.measure.frames import size_text
from depthrt_benchmarks.bench.measure.settings_in_turn import (
    Wanted,
    cells_of,
    turn,
    warm_up,
    yardstick,
)
from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.common.ratio_interval import earlier_interval, look_times_s, percentiles


def run_against_json(
    path: Path, head: str, setting: Setting, rules: Rules, progress: Callable[[Pairs], None]
) -> Comparison:
    """Compare a model with an earlier JSON of another model, or of the same.

    Raises:
        UsageError: no such document, no cell of this setting, another machine or yardstick.
        LatencyGateError: there is a gate, and nothing to compare.
    """
    if setting.what == "frame":
        raise UsageError("--frame needs two models: the earlier JSON holds the network alone")
    earlier = read_earlier(path)
    cell, said = _cell(earlier, setting), setting
    setting = _at_its_size(earlier, cell, said)
    side = Side(Path(head).stem, find_model(head))
    standing = _standing(earlier, cell)
    try:
        if standing is not None:
            base = Side(f"{cell.model} of {path.name}", standing)
            return run_interleaved(base, side, setting, rules, progress)
        _check_alike(earlier)
        return _by_yardstick(earlier, cell, side, setting, rules, progress)
    except UsageError as error:
        if setting == said:
            raise
        raise UsageError(
            f"{path} was measured at {size_text(cell.size)} (say --size to choose): {error}"
        ) from error


def _cell(earlier: Earlier, setting: Setting) -> EarlierCell:
    """The cell of the earlier result that has the setting asked for now."""
    threads = setting.threads or usable_cores()
    fit = [
        cell
        for cell in earlier.cells
        if (cell.bound_provider, cell.threads, cell.batch)
        == (setting.provider, threads, setting.batch)
        and setting.size in (None, cell.size)
    ]
    what = f"{setting.provider}, {threads} threads, batch {setting.batch}"
    what += "" if setting.size is None else f", size {size_text(setting.size)}"
    path = earlier.path
    if not fit:
        raise UsageError(f"{path} holds nothing measured on {what}: run `depthrt bench` so")
    if len(fit) > 1:
        names = ", ".join(f"{cell.model} at {size_text(cell.size)}" for cell in fit)
        raise UsageError(
            f"{path} holds more than one on {what} ({names}): say --size, or give one of one model"
        )
    return fit[0]


def _at_its_size(earlier: Earlier, cell: EarlierCell, setting: Setting) -> Setting:
    """The setting at the cell's size, where that is not the size of the model's spec."""
    if setting.size is not None or cell.size == earlier.models[cell.model].size:
        return setting
    return replace(setting, size=cell.size)


def _standing(earlier: Earlier, cell: EarlierCell) -> Path | None:
    """The earlier model's file: beside the JSON, in this folder, or built in; None if not found."""
    model = earlier.models[cell.model]
    places = [find_model(None)]
    if is_plain_name(model.file):
        places = [earlier.path.parent / model.file, Path(model.file), *places]
    for place in places:
        if place.is_file() and file_sha256(place) == model.sha256:
            return place
    return None


def _check_alike(earlier: Earlier) -> None:
    here = environment()["machine"]
    if earlier.machine != here:
        raise UsageError(
            f"{earlier.path} was measured on another machine ({short(earlier.machine)}), and its "
            "model is not at hand to be measured here: put the file beside the JSON"
        )
    if earlier.yardstick_sha256 != file_sha256(find_model(None)):
        raise UsageError(
            f"{earlier.path} was measured beside another built-in model than today's, and its own "
            "model is not at hand: put the file beside the JSON"
        )


def _changed_versions(earlier: Earlier) -> list[str]:
    versions = environment()["versions"]
    return [
        f"{name}: {was if isinstance(was, str) else short(was)} then, "
        f"{versions.get(name, 'none')} now"
        for name, was in earlier.versions.items()
        if versions.get(name) != was
    ]


def _by_yardstick(
    earlier: Earlier,
    cell: EarlierCell,
    side: Side,
    setting: Setting,
    rules: Rules,
    progress: Callable[[Pairs], None],
) -> Comparison:
    turns = zip(cell.blocks_ms, earlier.yardstick_blocks_ms, strict=False)
    past = [math.log(own / standard) for own, standard in turns]
    if len(past) < FEWEST_BLOCKS:
        raise UsageError(
            f"{earlier.path} holds {len(past)} turns of {FEWEST_BLOCKS}: measure it again"
        )
    base = Side(f"{cell.model} of {earlier.path.name}", earlier.path)
    sha256, changed = earlier.models[cell.model].sha256, _changed_versions(earlier)
    if rules.fail_above is not None and sha256 == file_sha256(side.model) and not changed:
        refuse_one_side_twice(f"{base.label} and {side.label} are one model, run by one version")
    only = None if setting.size is None else (setting.size,)
    wanted = Wanted((setting.provider,), (cell.threads,), (setting.batch,), only)
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
            pairs.interval = earlier_interval(past, now, rules.alpha_of_a_look)
            pairs.looks += 1
            pairs.sure = rules.settled(pairs.intervals)
        progress(pairs)
        if pairs.sure:
            break
    then = {
        "sha256": sha256,
        "precision": cell.precision,
        "bound_provider": cell.bound_provider,
    }
    now_facts = {
        "sha256": head.model.sha256(),
        "precision": head.model.spec.precision,
        "bound_provider": head.runner.bound,
    }
    sizes = size_note(base, side, (cell.size, head.size))
    notes = ("not measured together: a model file beside the JSON would be", *sizes, *changed)
    facts, latencies = (then, now_facts), (dict(cell.latency_ms), percentiles(head.taken_ms))
    return Comparison(base, side, setting, rules, pairs, facts, latencies, False, notes)

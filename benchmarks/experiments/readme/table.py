"""The tables of README and docs: depthrt beside others on the same networks, in turn in one run.

    python -m experiments.readme.table --data DATA --work WORK \
        --openvino-python OV/bin/python --litert-python LITERT/bin/python \
        --provider-python DEPTHRT_WITH_OPENVINO_AND_EXPORT/bin/python
    python -m experiments.readme.table --write    README.md and docs/performance.md from the JSON

Every engine runs in a process of its own with the Python named for it; those not named run in this
one's. For each network, rounds of short blocks: each engine in turn; times are medians over rounds
of the ratio to depthrt's float32 in the same round. ``--network`` measures one and keeps the others
of the JSON. An engine that cannot load a network says why in the JSON and has a dash in the table.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import DepthrtError
from depthrt.files.atomic_write import write_text
from depthrt.model.depth_model import DepthModel
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.bench.measure.frames import network_feed, picture_feed
from depthrt_benchmarks.bench.measure.runners import Remote, Workload
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.datasets.base import Dataset
from experiments.readme.accuracy import abs_rel, labelled, read
from experiments.readme.markdown import RESULT, table, write_pages
from experiments.readme.networks import Made, make

REFERENCE = "depthrt float32"
_ROUNDS, _BLOCK_S, _PAUSE_S = 21, 0.3, 0.25
_NETWORKS = (
    "depthrt-s",
    "tcmonodepth-small",
    "meter-nyu",
    "meter-kitti",
    "depth-anything-v2-s-252",
)
_PEERS = Path(__file__).parents[1] / "peers"
_PROTOCOL = (
    "mean AbsRel of each network's sets, after one scale and shift an image, of disparity, or of "
    "depth where the network gives depth"
)


@dataclass(frozen=True)
class Engine:
    """A row: which engine of ``peers``, in which Python, on which of a network's files."""

    name: str
    module: str
    python: str
    file: str = "float32"
    settings: tuple[tuple[str, Any], ...] = ()
    frame: bool = False


def engines(openvino: str | None, litert: str | None, provider: str | None) -> list[Engine]:
    """All rows of the table, in its order."""
    here = sys.executable
    found = [Engine(REFERENCE, "depthrt", here), Engine("depthrt int8", "depthrt", here, "int8")]
    if provider is not None:
        tuned = (("provider", "auto"), ("threads", None))
        name = "depthrt[openvino], `--precision auto` and tuned"
        found.append(Engine(name, "depthrt", provider, "auto", tuned))
    found += [
        Engine("torch eager", "torch", here),
        Engine("torch.compile", "torch", here, settings=(("compile", True),)),
    ]
    if openvino is not None:
        found += [
            Engine("OpenVINO float32", "openvino", openvino, settings=(("hint", "f32"),)),
            Engine("OpenVINO, as it comes", "openvino", openvino),
            Engine("OpenVINO on depthrt's int8 file", "openvino", openvino, "int8"),
        ]
    if litert is not None:
        found.append(Engine("LiteRT float32", "litert", litert, "tflite"))
    return [
        *found,
        Engine("OpenCV DNN float32", "opencv", here),
        Engine("depthrt float32, picture to depth", "depthrt", here, frame=True),
        Engine("depthrt int8, picture to depth", "depthrt", here, "int8", frame=True),
        Engine("Hugging Face pipeline, picture to depth", "pipeline", here, frame=True),
    ]


def measure(made: Made, rows: list[Engine], known: dict[str, Any]) -> dict[str, Any]:
    """One network: all engines that load it, in turn; ``known`` is what :func:`quality` said."""
    model = DepthModel.load(made.float32, provider="cpu")
    found: dict[str, Any] = {}
    running = _all_opened(rows, made, model, found)
    try:
        for name, times in in_turn(running).items():
            found[name] |= {**times, **known.get(name, {})}
    finally:
        for runner in running.values():
            runner.close()
    size = [model.spec.input.height, model.spec.input.width]
    return {"size": size, "trained": made.trained, "engines": found}


def quality(made: Made, rows: list[Engine], sets: list[Dataset]) -> dict[str, Any]:
    """AbsRel of a trained network; of drawn weights the difference to depthrt's float32."""
    model = DepthModel.load(made.float32, provider="cpu")
    pixels = network_feed(model, 1, None)
    running = _all_opened([row for row in rows if not row.frame], made, model, {})
    found = {}
    try:
        reference = running[REFERENCE].depths(pixels)
        low, high = np.percentile(reference, (2, 98))
        data = [read(dataset, model.spec) for dataset in sets] if made.trained else []
        for name, runner in running.items():
            if made.trained:
                found[name] = {"abs_rel": round(abs_rel(runner.depths, model.spec, data), 4)}
            else:
                error = np.abs(runner.depths(pixels) - reference).mean() / (high - low)
                found[name] = {"error": round(float(error), 5)}
    finally:
        for runner in running.values():
            runner.close()
    return found


def _all_opened(
    rows: list[Engine], made: Made, model: DepthModel, found: dict[str, Any]
) -> dict[str, Remote]:
    """Engines that load the network; versions, or why not, go to ``found``."""
    pixels, picture = network_feed(model, 1, None), picture_feed()
    running = {}
    for row in rows:
        try:
            running[row.name] = _opened(row, made, picture if row.frame else pixels)
            found[row.name] = {"versions": running[row.name].facts.get("versions", {})}
        except DepthrtError as error:
            why = str(error).split(": ", 1)[-1]
            why = re.sub(r"/\S*/site-packages/", "", why)
            found[row.name] = {"failed": why.replace(f"{made.float32.parent.resolve()}/", "")}
    return running


def _opened(row: Engine, made: Made, feed: NDArray[np.uint8]) -> Remote:
    file = made.file(row.file)
    if row.module == "pipeline" and not made.huggingface:
        raise DepthrtError("none: not a network of Hugging Face's")
    spec = DepthModel.load(made.float32, provider="cpu").spec.input
    settings = {
        "source": made.source,
        "said": made.said,
        "size": [spec.height, spec.width],
        **dict(row.settings),
    }
    load = Workload(file, "cpu", usable_cores(), feed, "frame" if row.frame else "network")
    engine = row.module if row.module == "depthrt" else _PEERS / f"{row.module}_engine.py"
    runner = Remote(load, row.python, engine, settings)
    try:
        runner.open()
        runner.run(3)
    except DepthrtError:
        runner.close()
        raise
    return runner


def in_turn(running: dict[str, Remote]) -> dict[str, dict[str, Any]]:
    """Milliseconds of each, and the median over rounds of its ratio to the reference's."""
    rounds: list[dict[str, float]] = []
    for number in range(_ROUNDS):
        names = list(running)
        names = names[number % len(names) :] + names[: number % len(names)]
        rounds.append({name: _block(running[name]) for name in names})
    found = {}
    for name in running:
        ratios = [row[name] / row[REFERENCE] for row in rounds]
        low, high = (float(v) for v in np.percentile(ratios, (25, 75)))
        found[name] = {
            "latency_ms": round(statistics.median(row[name] for row in rounds), 3),
            "ratio": round(statistics.median(ratios), 4),
            "quartiles": [round(low, 4), round(high, 4)],
        }
    return found


def _block(runner: Remote) -> float:
    time.sleep(_PAUSE_S)  # threads of the one before may still spin
    (first,) = runner.run(1)
    return statistics.median(runner.run(max(3, min(200, round(1e3 * _BLOCK_S / first)))))


def main() -> None:
    """Measure, write the JSON and put the tables into README and documentation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with rgbd sets and tcmonodepth_small")
    parser.add_argument("--images", type=int, default=40, help="of each set, spread over it")
    parser.add_argument("--work", type=Path, default=Path("build/readme_table"))
    parser.add_argument("--network", action="append", choices=_NETWORKS)
    parser.add_argument("--prepare", action="store_true", help="files and accuracy, no times")
    parser.add_argument("--openvino-python")
    parser.add_argument("--litert-python")
    parser.add_argument("--provider-python")
    parser.add_argument("--write", action="store_true", help="only the pages, from the JSON")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    options = parser.parse_args()
    if not options.write:
        rows = engines(options.openvino_python, options.litert_python, options.provider_python)
        document: dict[str, Any] = {"networks": {}}
        if options.output.is_file():
            document = json.loads(options.output.read_text())
        for name in options.network or _NETWORKS:
            pythons = (options.litert_python, options.provider_python)
            made = make(name, options.data, options.work, *pythons)
            if made is None:
                continue
            sets, shown = labelled(name, options.data, options.images)
            place = options.work / name / "quality.json"
            if not place.is_file():
                write_text(place, json.dumps(quality(made, rows, sets)), overwrite=False)
            if options.prepare:
                continue
            found = measure(made, rows, json.loads(place.read_text()))
            document["networks"][name] = {**found, "sets": shown} if made.trained else found
            kept = {n: document["networks"][n] for n in _NETWORKS if n in document["networks"]}
            content = {"benchmark": "readme_table", "threads": usable_cores(), "rounds": _ROUNDS,
                       "accuracy": _PROTOCOL, "networks": kept}  # fmt: skip
            write_result(options.output, content)
            document = json.loads(options.output.read_text())
    if options.output.is_file() and not options.prepare:
        document = json.loads(options.output.read_text())
        print(table(document))  # noqa: T201
        if options.write:
            write_pages(document)


if __name__ == "__main__":
    main()

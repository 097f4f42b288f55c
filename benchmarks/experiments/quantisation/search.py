"""What `depthrt export --precision auto` gives on networks of many kinds, beside OpenVINO alone.

For each network, by the command line as a user calls it: float32 without rewrites, and the pick of
the search. Times are over that plain float32 export on the CPU provider, taken in turn, with all
cores and with one; errors are on frames that calibration never saw.

    python -m experiments.quantisation.search --frames photos/ -o result.json

A network that the result holds already is left as it is, so that a run that was cut short goes on;
`--network` measures again. ``--openvino-python`` names the Python of an environment with openvino,
nncf and onnxruntime-openvino, ``--provider-python`` that of one with depthrt[openvino,export]. In
the latter the search runs a second time, to pick for both providers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.files.atomic_write import new_file
from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import SessionOptions
from depthrt.spec import ModelSpec
from depthrt_benchmarks.common.environment import write_result
from depthrt_calibration.frames import sample_frames, split
from depthrt_export.proof.labelled_frames import (
    absolute_relative_error,
    labelled_frames,
    open_labelled,
)
from experiments.quantisation import openvino_alone
from experiments.quantisation.depth_families import DEPTH_ANYTHING_V2_SMALL, save
from experiments.quantisation.timing import measure as timed

RESULT = Path("benchmarks/results/quantisation.json")
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]
COMMAND = ("-c", "from depthrt.cli import main; main()")
_GATE = 3  # exit code: nothing fitted, float32 was kept
_BY_116: dict[str, Any] = {
    "kind": "inverse_depth", "mean": (116.0,) * 3, "std": (58.0,) * 3, "scale": 1.0
}  # fmt: skip
_NETWORKS = _HERE / "networks.py"
_FRAMES = 80
_LABELLED = 48
_TIMING_S = 3.0


@dataclass(frozen=True)
class Case:
    """A network: where from, what is said of it, whether it is a transformer, or is trained.

    ``said``: fields of ``depthrt_export.options.SourceOptions`` by name.
    """

    source: Callable[[Path], str]
    said: Mapping[str, Any]
    transformer: bool = False
    trained: bool = False


@dataclass(frozen=True)
class Setting:
    """What is the same for all networks."""

    frames: str | None
    data: Path | None
    max_drop: float
    budget_s: float
    openvino_python: str | None
    provider_python: str | None


def _depth_anything(work: Path) -> str:
    from transformers import DepthAnythingForDepthEstimation

    from experiments.quantisation.networks import add_outliers

    folder = save(DEPTH_ANYTHING_V2_SMALL, work / "depth-anything-v2-small")
    model: Any = DepthAnythingForDepthEstimation.from_pretrained(folder)
    add_outliers(model)
    model.save_pretrained(folder)
    return str(folder)


def _own(name: str) -> Case:
    return Case(lambda _: f"{_NETWORKS}:{name}", {**_BY_116, "size": (256, 256)})


def cases(data: Path | None) -> dict[str, Case]:
    """All networks; those whose weights are not here are left out."""
    weights = _ROOT / "training/weights/depthrt-s.safetensors"
    found = {
        "depthrt-s": Case(
            lambda _: f"{_ROOT / 'training/depthrt_training/model/network.py'}:depthrt_s",
            {**_BY_116, "size": (224, 288), "checkpoint": weights},
            trained=True,
        ),
        "midas-like": _own("midas_like"),
        "unet-relu6": _own("unet_relu6"),
        "unet-hardswish-se": _own("unet_hard_swish"),
        "depth-anything-v2-s-252": Case(_depth_anything, {"size": (252, 252)}, transformer=True),
        "depth-anything-v2-s-518": Case(_depth_anything, {"size": (518, 518)}, transformer=True),
    }
    checkpoint = (data or _ROOT) / "models/tcmonodepth_small/checkpoint.pt.tar"
    if checkpoint.is_file():
        found["tcmonodepth-small"] = Case(
            lambda _: f"{_ROOT / 'tests/networks/tcmonodepth_small.py'}:tcmonodepth_small",
            {"checkpoint": checkpoint},
            trained=True,
        )
    return found | meter(data or _ROOT)


def meter(data: Path) -> dict[str, Case]:
    """METER-xxs, which knows rooms or roads, where its weights are."""
    source = f"{_ROOT / 'tests/networks/meter_xxs.py'}:meter"
    by_imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    said: dict[str, dict[str, Any]] = {
        "nyu": {"size": (192, 256), **by_imagenet},
        "kitti": {"size": (192, 640), "mean": (0.0,) * 3, "std": (1.0,) * 3},
    }
    found = {}
    for name, words in said.items():
        weights = data / "models/meter_xxs" / f"{name}.pt"
        if weights.is_file():
            words = {**words, "kind": "depth", "checkpoint": weights}
            found[f"meter-{name}"] = Case(lambda _: source, words, trained=True)
    return found


def measure(case: Case, setting: Setting, work: Path) -> dict[str, Any]:
    """One row."""
    source = case.source(work)
    plain, auto = work / "plain.onnx", work / "auto.onnx"
    frames = [] if setting.frames is None else ["--frames", setting.frames]
    said = (*flags(case.said), *frames, "--overwrite")
    export(source, plain, "--no-rewrite", *said)
    search = ("--max-drop", str(setting.max_drop), "--budget", f"{setting.budget_s:g}s")
    document = export(source, auto, "--precision", "auto", *search, *said)
    files = [plain, auto]
    spec = DepthModel.load(auto, provider="cpu").spec
    calibration, validation = split(sample_frames(setting.frames, _FRAMES, spec.input))
    pictures = work / "frames.npz"
    with new_file(pictures, overwrite=True) as place:
        np.savez(
            place,
            calibration=np.stack([s.pixels for s in calibration]),
            validation=np.stack([s.pixels for s in validation]),
        )
    ways = [SessionOptions("cpu", spinning=True), SessionOptions("cpu", 1)]
    images = np.stack([s.pixels for s in validation])
    row = {**document["search"], "search_s": document["times_s"]["search"],
           "ours": timed(plain, [auto], images, _TIMING_S, ways)}  # fmt: skip
    if setting.provider_python is not None:
        rewritten, both = work / "float32.onnx", work / "auto-both.onnx"
        export(source, rewritten, *said)
        again = ("--precision", "auto", *search, *frames, "--overwrite")
        found = export(str(rewritten), both, *again, python=setting.provider_python)["search"]
        row["picked_of_both_providers"] = {k: found[k] for k in ("picked", "candidates")}
        files.append(both)
        row["ours"] |= _through(setting.provider_python, plain, files, pictures)
    if setting.openvino_python is not None:
        row["beside_openvino"] = _openvino(
            setting.openvino_python, plain, files, pictures, case.transformer
        )
    row.update(_compared(row, setting.max_drop))
    if case.trained and setting.data is not None:
        row["abs_rel"] = _accuracy(spec, plain, auto, setting.data)
    return row


def flags(said: Mapping[str, Any]) -> list[str]:
    """The same, as options of the command."""
    found: list[str] = []
    for name, value in said.items():
        if isinstance(value, tuple):
            text = ("x" if name == "size" else ",").join(map(str, value))
        else:
            text = str(value).replace("inverse_depth", "inverse-depth")
        found += [f"--{name}", text]
    return found


def export(
    source: str, target: Path, *options: str, python: str = sys.executable
) -> dict[str, Any]:
    """Run `depthrt export` and read the document that `--json` prints; a kept float32 counts.

    Raises:
        RuntimeError: the command failed; the message is its one sentence.
    """
    command = [python, *COMMAND, "export", source, "-o", str(target), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _GATE) or not done.stdout:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _through(python: str, plain: Path, files: Sequence[Path], frames: Path) -> dict[str, Any]:
    module = "experiments.quantisation.timing"
    arguments = ["openvino", str(plain), str(frames), str(_TIMING_S), *map(str, files)]
    return _json_of([python, "-m", module, *arguments])


def _openvino(
    python: str, plain: Path, files: Sequence[Path], frames: Path, transformer: bool
) -> dict[str, Any]:
    command = [python, str(openvino_alone.__file__), str(plain), str(frames), str(_TIMING_S)]
    return _json_of([*command, *(["--transformer"] if transformer else []), *map(str, files)])


def _json_of(command: list[str]) -> dict[str, Any]:
    """The last line that a program printed, or why it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout[done.stdout.rindex('\n{"') + 1 :]
                                        if '\n{"' in done.stdout else done.stdout)  # fmt: skip
    return result


def _compared(row: dict[str, Any], max_drop: float) -> dict[str, Any]:
    """The fastest of both sides within the error, beside one float32, and their quotient."""

    def best(ways: dict[str, Any]) -> tuple[str, float] | None:
        fitting = {
            name: found["ratio"] for name, found in ways.items() if found["error"] <= max_drop
        }
        return min(fitting.items(), key=lambda item: item[1]) if fitting else None

    both = row.get("beside_openvino", {})
    ours, theirs = best(both.get("ours", {})), best(both.get("alone", {}))
    found: dict[str, Any] = {"best_of_ours": ours, "best_of_openvino": theirs}
    if ours is not None and theirs is not None:
        found["ours_over_openvino"] = round(ours[1] / theirs[1], 3)
    return found


def _accuracy(spec: ModelSpec, plain: Path, auto: Path, data: Path) -> dict[str, Any]:
    """AbsRel of the pick over float32's, on every labelled set."""
    models = [DepthModel.load(path, provider="cpu").session for path in (plain, auto)]
    result = {}
    for place in sorted(data.glob("**/dataset.json")):
        frames = labelled_frames(open_labelled(place.parent), _LABELLED, spec.input)
        errors = [
            float(
                np.mean(
                    [
                        absolute_relative_error(
                            session.run(["depth"], {"image": f.sample.pixels[None]})[0][0],
                            f,
                            spec.kind,
                            spec.unit,
                        )
                        for f in frames
                    ]
                )
            )
            for session in models
        ]
        result[place.parent.name] = {
            "float32": round(errors[0], 4),
            "auto": round(errors[1], 4),
            "auto_over_float32": round(errors[1] / errors[0], 4),
            "frames": len(frames),
        }
    return result


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| network | picked on the CPU | error | time, all cores | one core | best of ours |"
             " best of OpenVINO | ours / OpenVINO |", "| --- " * 8 + "|"]  # fmt: skip
    for name, row in rows.items():
        ours = row["ours"]
        best = ["-" if b is None else f"{b[0]} {b[1]:.2f}"
                for b in (row["best_of_ours"], row["best_of_openvino"])]  # fmt: skip
        lines.append(
            f"| {name} | {row['picked']} | {row['error']:.3f} | {ours['auto, cpu']['ratio']:.2f} "
            f"| {ours['auto, cpu, 1 thread']['ratio']:.2f} | {' | '.join(best)} "
            f"| {row.get('ours_over_openvino', '-')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", help="real frames; depthrt's clip if not said")
    parser.add_argument("--data", type=Path, help="folder with models/ and labelled sets")
    parser.add_argument("--network", action="append", help="only these, measured again")
    parser.add_argument("--max-drop", type=float, default=0.05)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds a network")
    parser.add_argument("--openvino-python")
    parser.add_argument("--provider-python")
    parser.add_argument("--work", type=Path, help="folder that a search cut short goes on in")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    setting = Setting(
        said.frames, said.data, said.max_drop, said.budget, said.openvino_python,
        said.provider_python,
    )  # fmt: skip
    rows: dict[str, dict[str, Any]] = {}
    if said.output.is_file():
        rows = json.loads(said.output.read_text())["networks"]
    for name, case in cases(said.data).items():
        if name not in said.network if said.network else name in rows:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary) if said.work is None else said.work / name
            work.mkdir(parents=True, exist_ok=True)
            rows[name] = measure(case, setting, work)
        print(table({name: rows[name]}).splitlines()[-1], file=sys.stderr, flush=True)  # noqa: T201
        write_result(said.output, {"max_drop": said.max_drop, "networks": rows})
    print(table(rows))  # noqa: T201


if __name__ == "__main__":
    main()

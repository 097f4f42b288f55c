r"""What an NVIDIA GPU brings, and what of it `depthrt run` makes use of.

Everything in turn, round by round, as medians; ratios are of one round each.

- ``sessions``: onnxruntime's session alone with its own default options, numpy in and out, on the
  provider and on the CPU: float32, float16 and the built-in int8 file, 1 and 8 frames at a time;
  ``..., folded``: int8 with its weights in float from the start; ``..., NHWC``: float16 with
  channels last;
- ``agreement``: depth of real frames on the provider, beside the same file's and the float32
  file's on the CPU, over the depth's spread;
- ``other_batches``: the session with 8 frames, then 7, then 8, over 8 all along: what a group that
  is not full costs;
- ``pipeline``: a 720p file to an H.264 file, and unwritten, over the bare session, over what all
  cores can do, and over the slowest thread (decode and prepare, infer and finish, or write);
- ``streams``: eight streams through one session, as of :mod:`experiments.pipeline.streams`.

Files that are not in ``--files`` are exported first, side by side. What is done when the time is
up counts, and ``cut_short`` says so.

    python -m experiments.gpu.pipeline -o benchmarks/results/gpu.json
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import onnxruntime as ort

from depthrt import DepthModel
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.run import Job, execute
from depthrt.model.catalogue.registry import DEMO_CLIP, find_model
from depthrt.model.providers import PROVIDERS
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.common.environment import write_result
from experiments.gpu.sessions import (
    BATCHES,
    Cell,
    Files,
    agreement,
    bare_session,
    frames_of,
    other_batches,
    time_sessions,
)
from experiments.pipeline.ceiling import SIZES, make_clip, medians, stage_times_ms, unwritten_rate
from experiments.pipeline.streams import batched
from experiments.quantisation.search import cases, flags

BUILT_IN = "depthrt-s"
NETWORKS = (BUILT_IN, "midas-like", "depth-anything-v2-s-252")
_PRECISIONS = {"float32": "fp32", "float16": "fp16"}


class TimeUp(BaseException):  # whatever catches errors lets it pass
    """The time for all of it is over."""


def make_files(folder: Path, networks: Sequence[str], seconds: float) -> tuple[Files, list[str]]:
    """The files by network and precision, those exported that are not there; and what failed."""
    files: Files = {}
    running: dict[tuple[str, str], subprocess.Popen[str]] = {}
    refused: list[str] = []
    end_s = time.perf_counter() + seconds
    try:
        for network in networks:
            places = {way: folder / f"{network}-{way}.onnx" for way in _PRECISIONS}
            missing = [way for way, path in places.items() if not path.is_file()]
            running |= {(network, w): p for w, p in _exports(network, folder, missing).items()}
            files |= {(network, way): path for way, path in places.items()}
        for key, process in running.items():
            try:
                _, said = process.communicate(timeout=max(0.1, end_s - time.perf_counter()))
            except subprocess.TimeoutExpired:
                said = f"no file after {seconds:.0f} s"
            if process.returncode != 0:
                refused.append(f"{' '.join(key)}: {(said.strip().splitlines() or ['?'])[-1]}")
                del files[key]
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return files, refused


def _exports(
    network: str, folder: Path, precisions: Sequence[str]
) -> dict[str, subprocess.Popen[str]]:
    """The exports of a network under way."""
    if not precisions:
        return {}
    case = cases(None)[network]
    command = [sys.executable, "-c", "from depthrt.cli import main; main()", "export"]
    command += [case.source(folder), *flags(case.said), "--dynamic", "batch"]
    found = {}
    for precision in precisions:
        more = ["-o", str(folder / f"{network}-{precision}.onnx")]
        more += ["--precision", _PRECISIONS[precision]]
        found[precision] = subprocess.Popen(
            command + more, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    return found


def time_pipeline(
    path: Path, provider: str, clip: Path, folder: Path, frames: int, rounds: int
) -> list[dict[str, Any]]:
    """One file at every batch."""
    model = DepthModel.load(path, provider=provider, objective="throughput")
    feed = frames_of(path, max(BATCHES))
    bare = {n: Cell("", "", provider, bare_session(path, provider), feed[:n]) for n in BATCHES}
    rows: dict[int, list[dict[str, float]]] = {n: [] for n in BATCHES}
    for number in range(rounds + 1):
        stages = stage_times_ms(clip, model, folder, frames)
        for batch, cell in bare.items():
            cell.turn()
            infer_ms = cell.turns_ms[-1] / batch
            job = Job(
                str(clip), folder / "out.mp4", str(path),
                provider=provider, batch=batch, overwrite=True,
            )  # fmt: skip
            start = time.process_time()
            summary = execute(job)
            spent_ms = 1e3 * (time.process_time() - start) / summary.frames
            model.warm_up(batch)
            unwritten = unwritten_rate(clip, model, batch)
            if number:  # the first round warms up
                rows[batch].append(
                    _row(summary.rate_fps, unwritten, infer_ms, stages)
                    | {"cpu_ms_a_frame": spent_ms}
                )
    return [{"batch": batch, "rounds": rounds, **medians(found)} for batch, found in rows.items()]


def _row(
    written: float, unwritten: float, infer_ms: float, stages: dict[str, tuple[float, float]]
) -> dict[str, float]:
    """Rates over those of the bare session, of all cores, and of the slowest thread."""
    cpu_ms = {name: cpu for name, (cpu, _) in stages.items()}
    wall_ms = {name: wall for name, (_, wall) in stages.items()} | {"infer": infer_ms}
    read_ms, map_ms = wall_ms["decode"] + wall_ms["prepare"], infer_ms + wall_ms["finish"]
    slowest, slowest_unwritten = max(read_ms, map_ms, wall_ms["write"]), max(read_ms, map_ms)
    total_ms = sum(cpu_ms.values())
    ceiling, ceiling_unwritten = (
        1e3 * usable_cores() / ms for ms in (total_ms, total_ms - cpu_ms["write"])
    )
    return {
        "bare_fps": 1e3 / infer_ms,
        "end_to_end_fps": written,
        "unwritten_fps": unwritten,
        "end_to_end_over_bare": written * infer_ms / 1e3,
        "unwritten_over_bare": unwritten * infer_ms / 1e3,
        "end_to_end_over_ceiling": written / ceiling,
        "unwritten_over_ceiling": unwritten / ceiling_unwritten,
        "end_to_end_over_slowest_thread": written * slowest / 1e3,
        "unwritten_over_slowest_thread": unwritten * slowest_unwritten / 1e3,
        **{f"alone_{name}_cpu_ms": ms for name, ms in cpu_ms.items()},
        **{f"alone_{name}_ms": ms for name, ms in wall_ms.items()},
    }


def gpus() -> list[str]:
    """Name, memory and driver of each, as nvidia-smi says them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.strip().splitlines()


@dataclass
class Record:
    """The result as it grows: written anew after every part."""

    content: dict[str, Any]
    output: Path | None
    begin_s: float = field(default_factory=time.perf_counter)

    def part(self, name: str, work: Callable[[], Any]) -> None:
        """Do a part; of one that fails, the reason is kept.

        Raises:
            TimeUp: in the middle of it.
        """
        try:
            self.content[name] = work()
        except TimeUp:
            self.content["cut_short"] = name
            raise
        except Exception as error:  # whatever a driver or an export has to say
            self.content[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(name, self.content[name], flush=True)  # noqa: T201
        self.write()

    def write(self) -> None:
        """Keep what there is."""
        self.content["seconds"] = round(time.perf_counter() - self.begin_s, 1)
        if self.output:
            write_result(self.output, self.content)


def measure(record: Record, made: Path | None, provider: str, seconds: float, quick: bool) -> None:
    """All parts of the built-in network, then sessions of the others."""
    rounds, frames = (1, 48) if quick else (2, 1000)  # cuDNN plans for seconds before the first
    record.content |= {"clip": f"{DEMO_CLIP.name} at 720p", "frames": frames, "quick": quick}

    def sessions(files: Files, suffix: str = "") -> None:
        record.part(f"agreement{suffix}", partial(agreement, files, provider))
        work = partial(time_sessions, files, provider, 4 * rounds, 0.15 * seconds)
        record.part(f"sessions{suffix}", work)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, refused = make_files(made or folder, NETWORKS[:1], 0.4 * seconds)
        built_in = files[BUILT_IN, "int8"] = find_model(BUILT_IN)
        record.content["refused"] = refused
        sessions(files)
        record.part("other_batches", partial(other_batches, built_in, provider, rounds + 2))
        clip = make_clip(folder / "720p.mp4", SIZES["720p"], frames)
        for precision in ("int8", "float16"):
            path = files.get((BUILT_IN, precision), folder / "refused.onnx")
            pipeline = partial(time_pipeline, path, provider, clip, folder, frames, rounds)
            record.part(f"pipeline, {precision}", pipeline)
        small = make_clip(folder / "360p.mp4", (360, 640), 120)
        model = DepthModel.load(built_in, provider=provider, objective="throughput")
        record.part("streams", partial(batched, model, small, rounds + 1, 960, max(BATCHES)))
        if not quick:
            files, more = make_files(made or folder, NETWORKS[1:], 0.3 * seconds)
            refused += more
            sessions(files, ", other networks")


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--provider", default="cuda", choices=PROVIDERS)
    parser.add_argument("--files", type=Path, help="exports made before, NETWORK-PRECISION.onnx")
    parser.add_argument("--seconds", type=int, default=400, help="for all of it")
    parser.add_argument("--quick", action="store_true", help="the built-in network, few rounds")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    content: dict[str, Any] = {"benchmark": "gpu", "provider": options.provider, "gpus": gpus()}
    content["onnxruntime_build"] = ort.get_build_info()
    record = Record(content, options.output)

    def time_up(number: int, frame: FrameType | None) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, time_up)
    signal.alarm(options.seconds)
    prefer_throughput()
    with suppress(TimeUp):
        measure(record, options.files, options.provider, options.seconds, options.quick)
    signal.alarm(0)
    record.write()


if __name__ == "__main__":
    main()

"""What :mod:`experiments.gpu.pipeline` measures of sessions: time, agreement, other batches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from depthrt import DepthModel, Selection, open_source, prepare
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.model.providers import PROVIDERS
from depthrt.system import cuda
from depthrt_export.proof.fidelity import fidelity
from experiments.pipeline.ceiling import medians

Files: TypeAlias = dict[tuple[str, str], Path]
"""By network and precision."""

BATCHES = (1, 8)
_TURN_S = 0.1
_AGREEMENT_FRAMES = 6
# More ways to run a file: session options, and those of the CUDA provider.
_Way: TypeAlias = tuple[str, str, dict[str, str], dict[str, str]]
_WAYS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "int8, folded": ("int8", {"session.disable_quant_qdq": "1"}, {}),
    "float16, NHWC": ("float16", {}, {"prefer_nhwc": "1"}),
}


def frames_of(path: Path, count: int) -> NDArray[np.uint8]:
    """Frames of the built-in clip as the file wants them: uint8 N,3,h,w."""
    spec = DepthModel.load(path, provider="cpu").spec.input
    selection = Selection(stride=12, max_frames=count)
    return np.stack([prepare(f.pixels, spec) for f in open_source(DEMO_CLIP, selection).frames()])


def bare_session(
    path: Path,
    provider: str,
    entries: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, str] = MappingProxyType({}),
) -> ort.InferenceSession:
    """A session as onnxruntime makes it by default.

    Raises:
        RuntimeError: it runs on another provider.
    """
    cuda.preload(provider)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    for key, value in entries.items():
        settings.add_session_config_entry(key, value)
    wanted = [(PROVIDERS[provider], dict(options))]
    session = ort.InferenceSession(str(path), settings, providers=wanted, enable_fallback=False)
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise RuntimeError(f"onnxruntime bound {session.get_providers()[0]}, not {provider}")
    return session


@dataclass
class Cell:
    """A bare session of its own and a ready batch; times in milliseconds, one of each round."""

    network: str
    way: str
    provider: str
    session: ort.InferenceSession
    feed: NDArray[np.uint8]
    first_ms: float = 0.0
    turns_ms: list[float] = field(default_factory=list)

    def run_ms(self) -> float:
        """One inference."""
        start_s = time.perf_counter()
        self.session.run(None, {"image": self.feed})
        return 1e3 * (time.perf_counter() - start_s)

    def turn(self) -> None:
        """Inferences for a moment, the first apart: it meets another cell's caches."""
        self.run_ms()
        taken_ms: list[float] = []
        while not taken_ms or sum(taken_ms) < 1e3 * _TURN_S:
            taken_ms.append(self.run_ms())
        self.turns_ms.append(statistics.median(taken_ms))

    def over(self, other: Cell | None) -> float | None:
        """Its time over another's of the same rounds."""
        if other is None:
            return None
        pairs = zip(self.turns_ms, other.turns_ms, strict=True)
        return round(statistics.median(own / their for own, their in pairs), 4)


def cells(files: Files, provider: str) -> list[Cell]:
    """Every file on the provider and, but for float16, on the CPU, by batch."""
    found = []
    for (network, precision), path in files.items():
        ways: list[_Way] = [(precision, provider, {}, {})]
        if provider != "cpu" and precision != "float16":
            ways.append((precision, "cpu", {}, {}))
        for way, (of, entries, options) in _WAYS.items():
            if of == precision and (provider == "cuda" or not options):
                ways.append((way, provider, entries, options))
        feed = frames_of(path, max(BATCHES))
        for way, where, entries, options in ways:
            for batch in BATCHES:
                session = bare_session(path, where, entries, options)
                found.append(Cell(network, way, where, session, feed[:batch]))
    return found


def time_sessions(files: Files, provider: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """All cells in turn until the time is up, and each beside what it is to be compared with."""
    measured = cells(files, provider)
    for cell in measured:
        cell.first_ms = cell.run_ms()
    end_s = time.perf_counter() + seconds
    for _ in range(rounds):
        for cell in measured:
            cell.turn()
        if time.perf_counter() > end_s:
            break
    by_key = {(c.network, c.way, c.provider, len(c.feed)): c for c in measured}
    rows = []
    for (network, way, where, batch), cell in by_key.items():
        same_on_cpu = by_key.get((network, way, "cpu", batch)) if where != "cpu" else None
        int8_on_cpu = by_key.get((network, "int8", "cpu", batch)) if where != "cpu" else None
        ms = statistics.median(cell.turns_ms)
        rows.append(
            {
                "network": network, "precision": way, "provider": where, "batch": batch,
                "rounds": len(cell.turns_ms),
                "first_ms": round(cell.first_ms, 2),
                "inference_ms": round(ms, 4),
                "fps": round(1e3 * batch / ms, 1),
                "time_over_float32": cell.over(by_key.get((network, "float32", where, batch))),
                "time_over_cpu": cell.over(same_on_cpu),
                "time_over_cpu_int8": cell.over(int8_on_cpu),
            }
        )  # fmt: skip
    return rows


def agreement(files: Files, provider: str) -> list[dict[str, Any]]:
    """Mean and greatest error of every file on the provider: of real frames the worst."""
    on_cpu = {
        key: _depths(path, "cpu", frames_of(path, _AGREEMENT_FRAMES)) for key, path in files.items()
    }
    rows = []
    for (network, precision), path in files.items():
        found = _depths(path, provider, frames_of(path, _AGREEMENT_FRAMES))
        row: dict[str, Any] = {"network": network, "precision": precision}
        for name, of in (("same_file_on_cpu", precision), ("float32_on_cpu", "float32")):
            if (network, of) in on_cpu:
                errors = [fidelity(r, d) for r, d in zip(on_cpu[network, of], found, strict=True)]
                row[name] = {
                    "mean_error": float(f"{max(e.mean_error for e in errors):.4g}"),
                    "max_error": float(f"{max(e.max_error for e in errors):.4g}"),
                }
        rows.append(row)
    return rows


def _depths(path: Path, provider: str, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    model = DepthModel.load(path, provider=provider)
    return np.concatenate([model.infer(frame[None]) for frame in frames])


def other_batches(path: Path, provider: str, rounds: int) -> dict[str, float]:
    """What it costs when the batch is not that of before: milliseconds, and over the usual."""
    session, feed = bare_session(path, provider), frames_of(path, 8)
    usual, full = (Cell("", "", provider, session, feed[:n]) for n in (8, 8))
    less = Cell("", "", provider, session, feed[:7])
    rows = []
    for _ in range(rounds):
        steady = statistics.median(usual.run_ms() for _ in range(6))
        changing = statistics.median((less.run_ms() + full.run_ms()) / 2 for _ in range(4))
        rows.append({"steady_ms": steady, "changing_ms": changing, "ratio": changing / steady})
    return medians(rows)

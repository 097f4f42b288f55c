"""A network whose plain int8 form collapses, and searches of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from depthrt_calibration.frames import sample_frames, split
from depthrt_export.build.build import build
from depthrt_export.build.onnx_file.from_depthrt import open_float32, pixel_zero
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.proof.evaluator import Evaluator, Timer
from depthrt_export.quantise.recipes import Material
from depthrt_export.quantise.targets import TARGETS
from depthrt_export.search.candidates import Journal
from depthrt_export.search.search import Found, Limits, Search
from helpers.made_once import made_once
from helpers.made_up_latency import Run, by_integers
from networks import collapsing

NETWORK = f"{collapsing.__file__}:collapsing"
SAID = SourceOptions(
    kind="inverse_depth", size=(64, 96), mean=(116.0,) * 3, std=(58.0,) * 3, scale=1.0
)


@pytest.fixture(scope="session")
def loud(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Path:
    """The network that collapses, in float32."""

    def make(folder: Path) -> Path:
        target = folder / "loud.onnx"
        build(NETWORK, target, SAID, ExportOptions(frames=frames), Phases(quiet=True))
        return target

    return made_once(tmp_path_factory, "loud", make)


@pytest.fixture
def run(loud: Path, frames: str, tmp_path: Path) -> Run:
    model, spec = open_float32(loud)
    calibration, held_out = split(sample_frames(frames, 20, spec.input))
    plain = Evaluator.of(loud, spec.kind, held_out)

    def search(
        measure: Timer = by_integers, journal: Path | None = None, limit: float = 0.03,
        target: str = "host", key: str = "k", providers: tuple[str, ...] = (),
    ) -> Found:  # fmt: skip
        material = Material(model, pixel_zero(model), calibration)
        kept = Journal.open(journal, key)
        limits = Limits(limit, 60)
        evaluator = replace(plain, time_files=measure)
        return Search(
            material, evaluator, TARGETS[target], limits, kept, tmp_path, providers=providers
        ).run()

    return search

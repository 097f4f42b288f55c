"""Exports that several tests look at: tracing takes seconds, so each is made once for all."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import ExportOptions, SourceOptions
from depthrt_export.report.export_report import Report
from helpers.made_once import made_once

NETWORKS = Path(__file__).parent.parent / "networks"
UNET = f"{NETWORKS / 'small_unet.py'}:small_unet"


@pytest.fixture(autouse=True)
def no_word_of_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine anything may, and tests look at every line."""
    monkeypatch.setattr(Phases, "LONG_S", math.inf)


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of twenty pictures with structure at all scales (1/f noise), unlike white noise."""
    return made_once(tmp_path_factory, "frames", _pictures)


def _pictures(base: Path) -> str:
    folder = base / "frames_of_noise"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(11)
    for i in range(20):
        picture = np.zeros((96, 144, 3))
        for octave in range(1, 6):
            coarse = random.normal(size=(3 * 2**octave, 4 * 2**octave, 3)) / 2**octave
            picture += cv2.resize(coarse, (144, 96), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(116 + 58 * picture, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{i:02d}.png"), pixels)
    return str(folder)


@pytest.fixture(scope="session")
def unet(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Report:
    """The small U-Net in float32 with batch and size open."""
    options = ExportOptions(vary=frozenset({"batch", "size"}), frames=frames)

    def make(folder: Path) -> Report:
        return build(UNET, folder / "unet.onnx", SourceOptions(), options, Phases(quiet=True))

    return made_once(tmp_path_factory, "unet", make)


@pytest.fixture(scope="session")
def unet_int8(tmp_path_factory: pytest.TempPathFactory, frames: str) -> Report:
    """The small U-Net in int8 with one scalar zero of pixels."""
    said = SourceOptions(mean=(116.0,) * 3, std=(58.0,) * 3, scale=1.0)
    options = ExportOptions(precision="int8", vary=frozenset({"batch"}), frames=frames)

    def make(folder: Path) -> Report:
        return build(UNET, folder / "unet.onnx", said, options, Phases(quiet=True))

    return made_once(tmp_path_factory, "unet_int8", make)

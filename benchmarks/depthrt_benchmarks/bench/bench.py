"""`depthrt bench`, from models to its JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt.sources.display_name import shown_source
from depthrt_benchmarks.bench.measure.clip import run_clip
from depthrt_benchmarks.bench.measure.cold_start import starts
from depthrt_benchmarks.bench.measure.profile import profile
from depthrt_benchmarks.bench.measure.settings_in_turn import (
    Cell,
    Wanted,
    cells_of,
    run_in_turn,
    yardstick,
)
from depthrt_benchmarks.common.environment import environment
from depthrt_benchmarks.common.names import labels_of


@dataclass(frozen=True)
class Extras:
    """What is measured beside latency and throughput."""

    clip: str | None = "demo"
    fresh: bool = True
    profile: bool = False


@dataclass(frozen=True)
class Listener:
    """Receives progress: what is being done, and the cells as measured so far."""

    step: Callable[[str], None] = lambda text: None
    cells: Callable[[Sequence[Cell]], None] = lambda cells: None


def bench(
    texts: Sequence[str], wanted: Wanted, extras: Extras, listener: Listener | None = None
) -> dict[str, Any]:
    """Measure models; the document of ``--json``.

    Raises:
        DepthrtError: a model, provider, size, batch or clip cannot be used.
    """
    told = listener or Listener()
    paths = [find_model(text) for text in texts]
    labels = labels_of(*texts) if len(texts) > 1 else [Path(texts[0]).stem]
    told.step("opening models")
    cells = cells_of(labels, paths, wanted)
    standard = yardstick()
    told.cells(cells)
    run_in_turn([standard, *cells], wanted.duration_s, lambda cell: told.cells(cells))
    document: dict[str, Any] = {
        **environment(),
        "benchmark": "bench",
        "duration_s": wanted.duration_s,
        "models": [model_facts(label, _first(cells, label).model) for label in labels],
        "cells": [cell.to_dict() for cell in cells],
        "yardstick": {
            "sha256": standard.model.sha256(),
            "threads": standard.threads,
            "blocks_ms": [round(v, 4) for v in standard.blocks_ms],
        },
        "starts": [],
        "clips": [],
        "profiles": [],
    }
    for cell in sessions(cells):
        where = {"model": cell.label, "provider": cell.runner.bound, "threads": cell.threads}
        if extras.fresh:
            told.step(f"{cell.label} on {cell.runner.bound}: fresh processes")
            row = starts(cell.model.path, cell.runner.bound, cell.threads)
            document["starts"].append({**where, **row})
        if extras.clip is not None:
            clip = shown_source(extras.clip)
            told.step(f"{cell.label} on {cell.runner.bound}: {clip}")
            figures = run_clip(extras.clip, cell.model, wanted.duration_s)
            document["clips"].append({**where, "clip": Path(clip).name, **figures})
        if extras.profile:
            told.step(f"{cell.label} on {cell.runner.bound}: profile")
            found = profile(
                cell.model.path,
                cell.runner.bound,
                cell.threads,
                cell.runner.feed,
                cell.model.spec.precision,
            )
            document["profiles"].append({**where, "batch": cell.batch, **found})
    return document


def sessions(cells: Sequence[Cell]) -> list[Cell]:
    """The first cell of every session; sizes and batches share a session."""
    first: dict[tuple[str, str, int], Cell] = {}
    for cell in cells:
        first.setdefault((cell.label, cell.provider, cell.threads), cell)
    return list(first.values())


def model_facts(label: str, model: DepthModel) -> dict[str, Any]:
    """Facts of a model file; its path is left out, as it may be private."""
    spec = model.spec
    return {
        "model": label,
        "name": spec.name,
        "file": model.path.name,
        "sha256": model.sha256(),
        "file_mb": round(model.path.stat().st_size / 1e6, 3),
        "precision": spec.precision,
        "kind": spec.kind,
        "size": [spec.input.height, spec.input.width],
    }


def _first(cells: Sequence[Cell], label: str) -> Cell:
    return next(cell for cell in cells if cell.label == label)

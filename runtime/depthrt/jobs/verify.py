"""Replays a model file's golden frames here, and says whether its depth is the proven one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import AccuracyGateError, ModelError, ProviderError
from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.entry import Golden
from depthrt.model.golden.replay import Replayed, allowed_error, golden_of, replay
from depthrt.model.session import import_onnxruntime, offered_providers

ALL = "all"


@dataclass(frozen=True)
class Row:
    """What came out on one provider.

    - ``options``: how the session was opened, in words;
    - ``allowed``: the largest error that is right; with it ``frames``, the error of each;
    - ``unavailable``: why the provider does not run here; then there are no frames.
    """

    provider: str
    options: str
    allowed: float
    frames: tuple[Replayed, ...] = ()
    unavailable: str = ""

    @property
    def worst(self) -> Replayed:
        """The frame with the largest error."""
        return max(self.frames, key=lambda frame: frame.error)

    @property
    def right(self) -> bool:
        """Whether every frame's depth is right."""
        return not self.unavailable and self.worst.error <= self.allowed

    def line(self) -> str:
        """The row in words."""
        if self.unavailable:
            return f"{self.provider}: not available ({self.unavailable})"
        worst = self.worst
        verdict = "right" if self.right else "WRONG"
        if worst.failure:
            return f"{self.options}: {verdict}: {worst.failure} (frame {worst.label})"
        return (
            f"{self.options}: {verdict}: error {worst.error:.2g} of the depth's spread on the "
            f"worst frame, {worst.label} (allowed {self.allowed:g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """The row as a JSON object; an error that is infinite is null."""
        if self.unavailable:
            return {"provider": self.provider, "unavailable": self.unavailable}
        frames = [
            {**asdict(frame), "error": frame.error if math.isfinite(frame.error) else None}
            for frame in self.frames
        ]
        return {
            "provider": self.provider,
            "options": self.options,
            "right": self.right,
            "error": frames[self.frames.index(self.worst)]["error"],
            "worst_frame": self.worst.label,
            "allowed": self.allowed,
            "frames": frames,
        }


@dataclass(frozen=True)
class Report:
    """What was verified: the file, where its depth was proven, and a row for each provider."""

    model: Path
    precision: str
    proven_by: str
    versions: dict[str, str]
    rows: tuple[Row, ...]

    @property
    def exit_code(self) -> int:
        """3 where a provider's depth is wrong, 5 where none runs, else 0."""
        tried = [row for row in self.rows if not row.unavailable]
        if not tried:
            return ProviderError.exit_code
        return 0 if all(row.right for row in tried) else AccuracyGateError.exit_code

    def as_dict(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "model": str(self.model),
            "precision": self.precision,
            "proven_by": self.proven_by,
            "versions": self.versions,
            "right": self.exit_code == 0,
            "providers": [row.as_dict() for row in self.rows],
        }

    def lines(self) -> list[str]:
        """The report for a terminal."""
        frames = next((len(row.frames) for row in self.rows if row.frames), 0)
        used = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return [
            f"{self.model} ({self.precision}): {frames} golden frames, proven by {self.proven_by}",
            f"here: {used}",
            *(row.line() for row in self.rows),
        ]


def verify(path: Path, *, provider: str = "auto", threads: int | None = None) -> Report:
    """Replay all golden frames of a file.

    Args:
        path: a depthrt model file.
        provider: ``auto``, a provider's short name, or ``all``: every one that onnxruntime offers.
        threads: threads inside one operator; None: as :meth:`DepthModel.load` chooses.

    Raises:
        ModelError: no usable model, no golden frames, or frames that were changed.
        ProviderError: the provider that was asked for cannot be had here.
    """
    names = offered_providers() if provider == ALL else [provider]
    rows: list[Row] = []
    golden: Golden | None = None
    precision = ""
    for name in names:
        try:
            model = DepthModel.load(path, provider=name, threads=threads, verify=False)
        except ProviderError as error:
            if provider != ALL:
                raise
            rows.append(Row(name, name, 0.0, unavailable=str(error)))
            continue
        golden, precision = _golden(model), model.spec.precision
        frames = tuple(replay(model, frame) for frame in golden.frames)
        rows.append(Row(model.provider, model.options.line(), allowed_error(model, golden), frames))
    return Report(path, precision, "" if golden is None else golden.by, _versions(), tuple(rows))


def _golden(model: DepthModel) -> Golden:
    golden = golden_of(model)
    if golden is None:
        raise ModelError(
            f"{model.path} carries no golden frames, so nothing can be verified: export it again "
            "(without --no-golden)"
        )
    return golden


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"depthrt": version("depthrt"), "onnxruntime": str(import_onnxruntime().__version__)}

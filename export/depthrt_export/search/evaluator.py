"""A candidate file against the float32 file: how exact on unseen frames, how fast beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.spec import Kind, Unit
from depthrt_export.proof.fidelity import spread
from depthrt_calibration.frames import Sample
from depthrt_export.search.labelled_frames import Labelled, absolute_relative_error

if TYPE_CHECKING:
    import onnxruntime as ort

Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judge:
    """What a candidate is held against.

    - ``validation``: frames that calibration never saw; ``references``: float32 depth of them;
    - ``labelled``: frames with ground truth, none if not given; ``float_abs_rel``: AbsRel of
      float32 on them; ``unit``: of its depth, metres are judged as they are.
    """

    float_path: Path
    kind: Kind
    validation: tuple[Sample, ...]
    references: tuple[Map, ...]
    labelled: tuple[Labelled, ...] = ()
    float_abs_rel: float = 0.0
    unit: Unit | None = None

    @classmethod
    def of(
        cls,
        float_path: Path,
        kind: Kind,
        validation: Sequence[Sample],
        labelled: Sequence[Labelled] = (),
        unit: Unit | None = None,
    ) -> Judge:
        """Run the float32 file once over everything."""
        session = open_session(float_path, SessionOptions("cpu"))
        references = tuple(_run(session, s.pixels) for s in validation)
        judge = cls(float_path, kind, tuple(validation), references, tuple(labelled), unit=unit)
        return replace(judge, float_abs_rel=judge._abs_rel(session)) if labelled else judge

    def errors(self, path: Path, count: int | None = None, provider: str = "cpu") -> list[float]:
        """Mean |difference| over the spread, of each of the first ``count`` frames.

        Raises:
            DepthrtError: the file does not run here.
        """
        session = open_session(path, SessionOptions.named(provider))
        return [
            _error(reference, _run(session, sample.pixels))
            for sample, reference in zip(
                self.validation[:count], self.references[:count], strict=True
            )
        ]

    def drop(self, path: Path, provider: str = "cpu") -> float | None:
        """Growth of AbsRel over float32's, 0.01 is one percent; None without ground truth."""
        if not self.labelled:
            return None
        session = open_session(path, SessionOptions.named(provider))
        return self._abs_rel(session) / max(self.float_abs_rel, 1e-9) - 1

    def _abs_rel(self, session: ort.InferenceSession) -> float:
        errors = [
            absolute_relative_error(_run(session, frame.sample.pixels), frame, self.kind, self.unit)
            for frame in self.labelled
        ]
        return float(np.mean(errors))


def _error(reference: Map, depth: Map) -> float:
    if not np.isfinite(depth).all():
        return 1e3  # NaN or infinity: as far off as can be, and still JSON
    difference = np.abs(depth.astype(np.float64) - reference.astype(np.float64))
    return min(float(difference.mean()) / spread(reference), 1e3)


def _run(session: ort.InferenceSession, pixels: NDArray[np.uint8]) -> Map:
    batch = session.get_inputs()[0].shape[0]
    images = np.repeat(pixels[None], batch if isinstance(batch, int) else 1, axis=0)
    return np.asarray(session.run(["depth"], {"image": images})[0][0], np.float32)

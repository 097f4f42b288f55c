"""Models with golden frames, and stand-ins for providers that compute wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.entry import GOLDEN_KEY, Golden, GoldenFrame, Tolerance
from depthrt.spec import InputSpec
from helpers.models.small_model import SIZE, build_model, expected_depth

SPEC = InputSpec(*SIZE)
EXACT = Tolerance(1e-3, 0.05)
Depth = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def picture(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    """A picture (h,w,3) with slopes and noise."""
    random = np.random.default_rng(seed)
    slopes = np.add.outer(np.linspace(0, 120, size[0]), np.linspace(0, 90, size[1]))
    noisy = slopes[..., None] + random.integers(0, 40, (*size, 3))
    return noisy.astype(np.uint8)


def golden_frames(
    depth_of: Callable[[Pixels], Depth] = expected_depth,
    *,
    count: int = 3,
    size: tuple[int, int] = SIZE,
    tolerance: Tolerance = EXACT,
) -> Golden:
    """Golden frames with the depth that a function of pixels N,3,H,W gives."""
    frames = [GoldenFrame.picture_only(f"frame {i}", picture(i, size), 1) for i in range(count)]
    proven = tuple(frame.with_depth(depth_of(frame.pixels(SPEC)[None])[0]) for frame in frames)
    return Golden(proven, tolerance, "a test")


def put_golden(path: Path, text: str) -> Path:
    """Put an entry of golden frames into a model file, in place of the one that it has."""
    model = onnx.load(path)
    for entry in [e for e in model.metadata_props if e.key == GOLDEN_KEY]:
        model.metadata_props.remove(entry)
    model.metadata_props.add(key=GOLDEN_KEY, value=text)
    onnx.save(model, path)
    return path


def build_golden_model(path: Path, golden: Golden | None = None) -> Path:
    """The tiny model with golden frames."""
    return put_golden(build_model(path), (golden or golden_frames()).to_json())


def changed(golden: Golden, change: Callable[[dict[str, Any]], object]) -> str:
    """The entry after a change that is signed as if it had been proven so."""
    from depthrt.model.golden.entry import _hash

    content = json.loads(golden.to_json())
    del content["sha256"]
    change(content)
    return json.dumps({**content, "sha256": _hash(content)})


class StandIn:
    """A session whose depth goes through a function: a provider that computes in another way."""

    def __init__(self, session: Any, compute: Callable[[Pixels, Depth], Depth]) -> None:
        self._session, self._compute = session, compute
        self.runs = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, names: list[str], feed: dict[str, Pixels], options: Any = None) -> list[Depth]:
        self.runs += 1
        depth, *others = self._session.run(names, feed, options)
        return [self._compute(feed["image"], depth), *others]


class StandIns:
    """Puts stand-ins in the place of all sessions that :class:`DepthModel` opens."""

    def __init__(self, patch: Any, compute: Callable[[Pixels, Depth], Depth]) -> None:
        import depthrt.model.depth_model as module

        self.sessions: list[StandIn] = []
        real = module.open_session

        def opened(*arguments: Any) -> StandIn:
            self.sessions.append(StandIn(real(*arguments), compute))
            return self.sessions[-1]

        patch.setattr(module, "open_session", opened)

    @property
    def runs(self) -> int:
        """Inferences of all sessions."""
        return sum(session.runs for session in self.sessions)


def load(path: Path) -> DepthModel:
    """The model on the CPU provider."""
    return DepthModel.load(path, provider="cpu")

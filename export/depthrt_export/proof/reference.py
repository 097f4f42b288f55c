"""The reference of drift for a finished file: features of the frames it was proven on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.monitor.features import depth_features, picture_features
from depthrt.monitor.reference import FEWEST_FRAMES, Reference, make_reference
from depthrt.spec import ModelSpec
from depthrt_calibration.frames import Sample


def drift_reference(
    path: Path, spec: ModelSpec, samples: Sequence[Sample], source: str, provider: str = "cpu"
) -> Reference | None:
    """The reference of frames that need not follow one another; None of fewer than 8.

    Args:
        path: the finished graph, or one that computes the same; its metadata is not read.
        spec: of the finished file.
        samples: prepared frames at the spec's size.
        source: what they are frames of.
        provider: what runs the graph here.

    Raises:
        DepthrtError: the graph does not run here.
    """
    if len(samples) < FEWEST_FRAMES:
        return None
    options = SessionOptions.named(provider)
    model = DepthModel(open_session(path, options), spec, path, options=options)
    size = (spec.input.height, spec.input.width)
    rows = [
        {
            **picture_features(sample.pixels),
            **depth_features(model.depth(model.infer(sample.pixels[None])[0], size)),
        }
        for sample in samples
    ]
    return make_reference(rows, source=source)

"""How much does `--reuse` save, and what error does it cost against computing every frame?

    python -m experiments.temporal.reuse CLIPS/*.mp4 -o benchmarks/results/reuse.json

Besides the clips given, two clips of a camera that stands still are made from the built-in one: its
first frame with the noise of a sensor, encoded as H.264, without and with something small that
crosses the picture. Errors are the mean |difference| of depth over the 2-98 percentile spread of
the depth computed for the same frame.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from depthrt import DepthModel, Reuse, Stats, open_source, stream
from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.temporal.frame_reuse import MAX_AGE_S, THRESHOLD
from depthrt_benchmarks.common.environment import write_result
from depthrt_export.proof.fidelity import spread

THRESHOLDS = (2.0, THRESHOLD, 8.0)
_FRAMES, _RATE = 250, 25
_NOISE_LEVELS = 3.0  # standard deviation, grey levels of 255
_CROSSING = range(100, 150)  # frames in which something crosses
_THING = (24, 12)  # its height and width in pixels of 360 rows


def make_still_clip(path: Path, *, crossing: bool) -> Path:
    """A camera that stands still, 10 s."""
    rng = np.random.default_rng(5)
    still = next(iter(open_source(DEMO_CLIP).frames())).image
    height, width = still.shape[:2]
    with av.open(str(path), "w") as container:
        encoder = container.add_stream("libx264", _RATE, {"preset": "veryfast", "crf": "23"})
        encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuv420p"
        for number in range(_FRAMES):
            scene = still.copy()
            if crossing and number in _CROSSING:
                share = (number - _CROSSING.start) / len(_CROSSING)
                left, top = int(share * (width - _THING[1])), height // 2
                scene[top : top + _THING[0], left : left + _THING[1]] = (200, 30, 30)
            noise = rng.normal(0, _NOISE_LEVELS, scene.shape)
            pixels = np.clip(scene + noise, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _RATE)
            container.mux(encoder.encode(frame))
        container.mux(encoder.encode(None))
    return path


def compare(clip: Path, model: DepthModel, threshold: float, max_age_s: float) -> dict[str, Any]:
    """The share of frames saved on a clip, and the error of the depth."""
    stats = Stats()
    reuse = Reuse(threshold, max_age_s)
    errors, reused_errors = [], []
    lazy = stream(clip, model, batch=model.batch, reuse=reuse, stats=stats)
    with closing(lazy), closing(stream(clip, model, batch=model.batch)) as full:
        for given, computed in zip(lazy, full, strict=True):
            truth = computed.depth.values
            difference = np.abs(given.depth.values - truth).mean(dtype=np.float64)
            errors.append(float(difference) / spread(truth))
            if given.reused:
                reused_errors.append(errors[-1])
    return {
        "frames": stats.frames,
        "saved_share": round(stats.reused / stats.frames, 4),
        "mean_error": round(float(np.mean(errors)), 5),
        "mean_error_of_reused": round(float(np.mean(reused_errors)), 5) if reused_errors else None,
        "worst_error": round(max(errors), 5),
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--max-age", type=float, default=MAX_AGE_S, help="seconds")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = DepthModel.load(options.model, provider="cpu")
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [
            make_still_clip(folder / "still.mp4", crossing=False),
            make_still_clip(folder / "still_with_something_crossing.mp4", crossing=True),
        ]
        for clip in [*made, *options.clips]:
            figures[clip.stem] = {
                f"threshold {threshold:g}": compare(clip, model, threshold, options.max_age)
                for threshold in THRESHOLDS
            }
            print(clip.stem, figures[clip.stem])  # noqa: T201
    if options.output:
        content = {
            "benchmark": "reuse",
            "model": {"name": model.spec.name, "sha256": model.sha256()},
            "provider": model.provider,
            "max_age_s": options.max_age,
            "clips": figures,
        }
        write_result(options.output, content)


if __name__ == "__main__":
    main()

"""Can a viewer tell keyframes from the network on every frame? This decides what is on by default.

Each clip is coloured as ``depthrt run -o depth.mp4`` does it, stabilised: with every frame
inferred, with keyframes, and with every frame inferred by the float32 file. The first is also read
back from the MP4 file that it is written to. PSNR to the first says how much keyframes change
beside what int8 and the codec change, and flicker whether the video is calmer.

    python -m experiments.temporal.keyframes.shown --clips CLIPS --float32 float32.onnx \\
        -o benchmarks/results/keyframes_shown.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from depthrt import DepthModel, Frame, Keyframes, Result, colourise, open_source, stream
from depthrt.sinks.open import open_sink
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.evaluation.metrics.flicker import FlickerMeter

Picture = NDArray[np.uint8]
_LARGEST_PSNR_DB = 99.0  # of equal pictures


def shown(result: Result) -> Picture:
    """A frame as a viewer sees it."""
    return colourise(result.depth, result.display_range)


def psnr_db(picture: Picture, exact: Picture) -> float:
    """Peak signal to noise ratio of a picture, at most 99 dB."""
    return min(_LARGEST_PSNR_DB, float(cv2.PSNR(picture, exact)))


def as_mp4(results: list[Result], model: DepthModel, clip: Path, folder: Path) -> Iterator[Picture]:
    """The pictures of a depth video, read back from its file."""
    target = folder / "depth.mp4"
    sink = open_sink(target, open_source(clip).info, model.spec, "depth", "inferno", overwrite=True)
    for result in results:
        sink.write(result)
    sink.close(complete=True)
    for frame in open_source(target).frames():
        yield frame.image


def figures(
    clip: Path, frames: int, models: tuple[DepthModel, DepthModel], keyframes: Keyframes
) -> dict[str, Any]:
    """PSNR to every frame inferred, mean and worst frame, and flicker."""
    model, float32 = models
    kept: list[Frame] = list(islice(open_source(clip).frames(), frames))
    images = [frame.image for frame in kept]
    ways = {
        "every frame": list(stream(images, model, stabilise=True)),
        "keyframes": list(stream(images, model, stabilise=True, keyframes=keyframes)),
        "float32": list(stream(images, float32, stabilise=True)),
    }
    exact = [shown(result) for result in ways["every frame"]]
    rows = {way: [shown(result) for result in ways[way]] for way in ("keyframes", "float32")}
    with tempfile.TemporaryDirectory() as folder:
        rows["mp4"] = list(as_mp4(ways["every frame"], model, clip, Path(folder)))
    meter = FlickerMeter()
    for index, image in enumerate(images):
        meter.add(image, {way: results[index].depth.values for way, results in ways.items()})
    flicker = {way: meter.result(way) for way in ways}
    found: dict[str, Any] = {"frames": len(images)}
    for way, pictures in rows.items():
        values = [psnr_db(a, b) for a, b in zip(pictures, exact, strict=True)]
        found[f"{way}_psnr_db"] = round(statistics.fmean(values), 2)
        found[f"{way}_worst_psnr_db"] = round(min(values), 2)
    reference = flicker["every frame"]
    for way in ("keyframes", "float32"):
        measured = flicker[way]
        if measured is not None and reference is not None:
            ratio = measured.mean.median / reference.mean.median
            found[f"{way}_flicker_ratio"] = round(ratio, 4)
    return found


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--float32", required=True, help="the same network in float32")
    parser.add_argument("--clips", type=Path, required=True, help="folder of videos")
    parser.add_argument("--budget", type=float, default=0.02)
    parser.add_argument("--frames", type=int, default=150, help="of each clip, at most")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    models = tuple(
        DepthModel.load(name, provider="cpu") for name in (options.model, options.float32)
    )
    assert len(models) == 2
    found: dict[str, dict[str, Any]] = {}
    for clip in sorted(options.clips.glob("*.mp4")):
        found[clip.stem] = figures(clip, options.frames, models, Keyframes(options.budget))
        print(clip.stem, found[clip.stem], flush=True)  # noqa: T201
    keys = list(next(iter(found.values())))[1:]
    means = {key: round(statistics.fmean(f[key] for f in found.values()), 3) for key in keys}
    print(means)  # noqa: T201
    if options.output:
        write_result(
            options.output,
            {
                "benchmark": "keyframes, as shown",
                "budget": options.budget,
                "stabilised": True,
                "means": means,
                "clips": found,
            },
        )


if __name__ == "__main__":
    main()

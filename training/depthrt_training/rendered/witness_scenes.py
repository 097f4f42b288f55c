"""Draw one frame of each of 40 scenes, and of 64 others, into small H.264 files for the witness.

    python -m depthrt_training.rendered.witness_scenes OUT.mp4
    python -m depthrt_training.rendered.witness_scenes MORE.mp4 --more

The built-in model and a network to be exported are compared on these frames, beside those of the
demo clip, which shows one street alone. Textures are made by the recipe: no photograph is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from depthrt_training.rendered.generate import (
    HEIGHT,
    MIN_JUMPS,
    MIN_JUMPS_ELSEWHERE,
    TRIES,
    WIDTH,
    SceneRenderer,
    expose,
)
from depthrt_training.rendered.scene_builder import Builder
from depthrt_training.rendered.scenes import SCENES
from depthrt_training.rendered.textures import build_pool

COUNTS = {"room": 16, "desk": 10, "corridor": 4, "floor": 2, "street": 5, "park": 3}
MORE = {"room": 26, "desk": 14, "corridor": 6, "floor": 4, "street": 9, "park": 5}
SEED, MORE_SEED = 25, 26  # no run of training has seen them
CRF = "25"

Picture = npt.NDArray[np.uint8]  # H,W,3 RGB


def pictures(counts: Mapping[str, int] = COUNTS, seed: int = SEED) -> Iterator[Picture]:
    """One picture of each scene; kinds take turns, so that any first part of them is diverse."""
    pool = build_pool(seed, None)
    shares = [((i + 0.5) / count, kind) for kind, count in counts.items() for i in range(count)]
    for number, (_, kind) in enumerate(sorted(shares)):
        yield _picture(kind, np.random.default_rng([seed, number]), pool)


def _picture(kind: str, rng: np.random.Generator, pool: dict[str, list[bytes]]) -> Picture:
    """The first view of a scene that shows enough; where none does, another scene is drawn."""
    while True:
        builder = Builder(rng, pool)
        scene = SCENES[kind](builder)
        fov_y_deg = float(rng.uniform(40, 68))
        min_jumps = MIN_JUMPS.get(kind, MIN_JUMPS_ELSEWHERE)
        renderer = SceneRenderer(builder, scene, fov_y_deg, False, min_jumps)
        try:
            for _ in range(TRIES):
                pair = renderer.view(scene.camera(rng))
                if pair is not None:
                    return expose(pair[0], rng, (0.35, 0.62))
        finally:
            renderer.close()


def encode(images: Sequence[Picture], path: Path) -> None:
    """Every frame for itself: neighbours have nothing in common."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=1)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", WIDTH, HEIGHT
        stream.options = {"preset": "veryslow", "crf": CRF, "g": "1"}
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = index, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Draw the frames of the export's witness.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", action="store_true", help="the 64 others")
    options = parser.parse_args()
    out: Path = options.out
    images = list(pictures(MORE, MORE_SEED) if options.more else pictures())
    encode(images, out)
    print(f"{out}: {len(images)} frames, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""Encode the rendered frames as a small H.264 file.

python encode.py FRAMES ../../runtime/depthrt/data/demo.mp4
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
from view import FPS, HEIGHT, WIDTH

BT709 = {"colorprim": "bt709", "transfer": "bt709", "colormatrix": "bt709"}
BEST_CRF, WORST_CRF = 20.0, 36.0


def load(paths: list[Path]) -> list[av.VideoFrame]:
    """The pictures as limited-range BT.709 frames with their times."""
    frames = []
    for index, path in enumerate(paths):
        picture = cv2.imread(str(path))  # H,W,3 BGR
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = index, Fraction(1, FPS)
        frames.append(frame)
    return frames


def encode(frames: list[av.VideoFrame], path: Path, crf: float) -> int:
    """Encode at a constant quality; returns the size in bytes."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", WIDTH, HEIGHT
        stream.options = {
            "preset": "slow",
            "crf": str(crf),
            "profile": "high",
            "g": str(2 * FPS),
            "x264-params": ":".join(f"{key}={value}" for key, value in BT709.items()),
        }
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.stat().st_size


def main() -> None:
    """Take the best quality that stays under the limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("frames", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int, default=900_000, help="bytes")
    args = parser.parse_args()
    frames = load(sorted(args.frames.glob("*.png")))
    low, high = BEST_CRF, WORST_CRF  # the size falls as crf rises
    while high - low > 0.25:
        middle = (low + high) / 2
        fits = encode(frames, args.out, middle) <= args.limit
        low, high = (low, middle) if fits else (middle, high)
    size = encode(frames, args.out, high)
    print(f"{args.out}: {len(frames)} frames, crf {high}, {size} bytes")


if __name__ == "__main__":
    main()

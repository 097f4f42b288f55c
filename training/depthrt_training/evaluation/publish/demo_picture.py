"""README's picture: one frame of the demo clip beside its depth.

depthrt run demo --view side -o demo_depth.mp4
python -m depthrt_training.evaluation.publish.demo_picture demo_depth.mp4 --out demo.jpg
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import av
import cv2

FRAME = 51
"""A car near, trees, and the street far into the picture."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with av.open(str(options.clip)) as container:
        found = list(islice(container.decode(video=0), FRAME, FRAME + 1))
    if not found:
        parser.error(f"{options.clip} has less than {FRAME + 1} frames")
    cv2.imwrite(
        str(options.out), found[0].to_ndarray(format="bgr24"), [cv2.IMWRITE_JPEG_QUALITY, 90]
    )


if __name__ == "__main__":
    main()

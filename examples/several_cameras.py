"""Depth of several cameras through one model, batched; a camera that fails ends alone.

    python several_cameras.py front=0 rear=/dev/video2 yard=rtsp://192.168.1.20/stream

Recordings stand in for cameras: front=front.mp4 rear=rear.mp4. Of a live source the newest frame is
kept, so that depth is never late, and what there was no time for is counted as dropped; of a
recording every frame is taken. Ctrl-C ends it.
"""

from __future__ import annotations

import sys

import numpy as np

import depthrt


def report_failure(name: str, error: BaseException) -> None:
    """Called when a camera cannot be opened or breaks off; the others go on."""
    print(f"{name} failed: {error}", file=sys.stderr, flush=True)


def act_on(result: depthrt.Result) -> None:
    """Your own work: here, which side of the picture is nearer. Keep it short: all wait for it."""
    values = result.depth.values
    left, right = np.array_split(values if result.depth.larger_is == "nearer" else -values, 2, 1)
    side = "left" if np.median(left) > np.median(right) else "right"
    print(f"{result.frame.stream} {result.frame.index} {result.frame.time_s:.3f} s: nearer {side}")


def main() -> int:
    if len(sys.argv) < 2 or not all("=" in argument for argument in sys.argv[1:]):
        sys.exit("give cameras as NAME=SOURCE, such as front=0 rear=rear.mp4")
    cameras = dict(argument.split("=", 1) for argument in sys.argv[1:])
    # Frames that are older than 0.2 s are of no use to a robot. A camera that is unplugged is
    # looked for again for a minute.
    limits = depthrt.LiveLimits(max_latency_s=0.2, reconnect_s=60)
    stats: dict[str, depthrt.Stats] = {}
    try:
        with depthrt.stream_many(
            cameras, limits=limits, stats=stats, on_failure=report_failure
        ) as results:
            for result in results:
                act_on(result)
    except KeyboardInterrupt:
        pass  # the way to end live cameras
    for name, counted in stats.items():
        print(f"{name}: {counted.frames} frames, {counted.dropped} dropped", file=sys.stderr)
    return 0 if len(stats) == len(cameras) else 1  # 1: some camera could not be opened


if __name__ == "__main__":
    try:
        sys.exit(main())
    except depthrt.DepthrtError as error:
        sys.exit(str(error))

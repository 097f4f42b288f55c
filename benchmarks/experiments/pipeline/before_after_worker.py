"""One short job in the environment of one commit; prints what it found as one line of JSON.

:mod:`experiments.pipeline.before_after` runs this file with the interpreters of two commits. It
uses only what is public in both: names of ``depthrt`` itself.

    python -I before_after_worker.py describe
    python -I before_after_worker.py inference CLIP
    python -I before_after_worker.py streams CLIP --streams 8 --batch 4 --frames 40
    python -I before_after_worker.py live CLIP --rate 200 --seconds 6
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

import numpy as np

from depthrt import (
    DepthModel,
    Frame,
    Selection,
    SourceInfo,
    open_source,
    prepare,
    stream,
    stream_many,
)

PACKAGES = ("depthrt", "numpy", "opencv-python", "av", "onnxruntime", "onnxruntime-openvino")
_PICTURES = 24  # that the live source shows again and again
_FIRST = 10  # results of the live source that are not counted: buffers and caches are cold
_INFERENCES = 20


class Overload:
    """A live source that shows the same pictures at a constant rate (1/s) by the clock."""

    def __init__(self, clip: str, rate: float, seconds: float) -> None:
        recording = open_source(clip, Selection(max_frames=_PICTURES))
        self._pictures = list(recording.frames())
        self._rate, self._frames = rate, int(rate * seconds)
        self.losses = recording.losses  # none: a record of losses is no public name
        self.info = SourceInfo(
            "overload", recording.info.size, Fraction(round(rate * 1000), 1000), live=True
        )
        if hasattr(self.info, "owns_pictures"):  # as cameras and servers do: nothing is copied
            self.info = replace(self.info, owns_pictures=True)

    def frames(self) -> Iterator[Frame]:
        """Frames at the moment that each is due, which is the time of its capture."""
        start_s = time.monotonic()
        for index in range(self._frames):
            due_s = start_s + index / self._rate
            time.sleep(max(0.0, due_s - time.monotonic()))
            image = _decoded(self._pictures[index % len(self._pictures)])
            yield Frame(image, index, Fraction(index) / Fraction(self._rate), "", None, due_s)


def _decoded(frame: Any) -> Any:
    """The picture as it was decoded, under the name that this commit has for it."""
    return frame.pixels if hasattr(frame, "pixels") else frame.image


def describe(model: str | None) -> dict[str, Any]:
    """Commit, versions, and the model with the provider that it gets here."""
    loaded = DepthModel.load(model)
    return {
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "provider": loaded.provider,
        "model": {"name": loaded.spec.name, "sha256": loaded.sha256()},
    }


def inference(clip: str, model: str | None) -> dict[str, Any]:
    """Seconds of one inference, alone, of a model that is opened for a live source."""
    loaded = DepthModel.load(model, provider="cpu", objective="live")
    first = next(iter(open_source(clip).frames()))
    pixels = prepare(first.image, loaded.spec.input)[None]
    loaded.warm_up()
    start_s = time.perf_counter()
    for _ in range(_INFERENCES):
        loaded.infer(pixels)
    taken_s = (time.perf_counter() - start_s) / _INFERENCES
    return {"inference_s": taken_s, "provider": loaded.provider}


def streams(clip: str, model: str | None, count: int, batch: int, frames: int) -> dict[str, Any]:
    """Frames per second of the recording as so many streams through one session."""
    loaded = DepthModel.load(model, provider="cpu", objective="throughput")
    loaded.warm_up()
    selection = Selection(max_frames=frames)
    start_s = time.perf_counter()
    done = sum(1 for _ in stream_many([clip] * count, loaded, batch=batch, selection=selection))
    taken_s = time.perf_counter() - start_s
    return {"frames": done, "rate_fps": done / taken_s, "provider": loaded.provider}


def live(clip: str, model: str | None, rate: float, seconds: float) -> dict[str, Any]:
    """Latency from capture to the result in hand, in milliseconds, and results per second.

    Raises:
        SystemExit: there were too few results to speak of.
    """
    loaded = DepthModel.load(model, provider="cpu", objective="live")
    loaded.warm_up()
    latencies_ms: list[float] = []
    start_s = time.perf_counter()
    for result in stream(Overload(clip, rate, seconds), loaded):
        if result.frame.captured_s is not None:
            latencies_ms.append(1e3 * (time.monotonic() - result.frame.captured_s))
    taken_s = time.perf_counter() - start_s
    counted = latencies_ms[_FIRST:]
    if len(counted) < 2:
        sys.exit(f"the live source gave {len(latencies_ms)} results: let it run for longer")
    p50, p90, p99 = (float(value) for value in np.percentile(counted, (50, 90, 99)))
    return {
        "frames": len(latencies_ms),
        "rate_fps": len(latencies_ms) / taken_s,
        "mean_ms": float(np.mean(counted)),
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "provider": loaded.provider,
    }


def _commit() -> str:
    """The commit that pip installed depthrt from, by its own record (PEP 610), or unknown."""
    record = json.loads(distribution("depthrt").read_text("direct_url.json") or "{}")
    return str(record.get("vcs_info", {}).get("commit_id", "unknown"))[:7]


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the job and print the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("job", choices=("describe", "inference", "streams", "live"))
    parser.add_argument("clip", nargs="?", default="")
    parser.add_argument("-m", "--model", help="a depthrt model; the built-in one")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--frames", type=int, default=1, help="of each stream")
    parser.add_argument("--rate", type=float, default=1, help="of the live source, in 1/s")
    parser.add_argument("--seconds", type=float, default=1, help="how long the live source runs")
    given = parser.parse_args(arguments)
    if given.job == "describe":
        found = describe(given.model)
    elif given.job == "inference":
        found = inference(given.clip, given.model)
    elif given.job == "streams":
        found = streams(given.clip, given.model, given.streams, given.batch, given.frames)
    else:
        found = live(given.clip, given.model, given.rate, given.seconds)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()

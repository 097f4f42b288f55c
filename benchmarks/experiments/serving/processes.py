"""Servers and clients as processes, what they took of the processor, and what servers count."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source

_READY = re.compile(r" is served at http://([\d.]+):(\d+)")
_TICKS = os.sysconf("SC_CLK_TCK")
NPY = {"Accept": "application/x-npy"}


@dataclass(frozen=True)
class Served:
    """A server that answers: its address, its process, and where its log goes."""

    host: str
    port: int
    process: subprocess.Popen[Any]
    log: Path

    def get(self, path: str) -> bytes:
        """The body of an answer to GET."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def counters(self) -> dict[str, float]:
        """What its ``/metrics`` says, by name with labels."""
        lines = self.get("/metrics").decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and line[0] != "#")
        return {name: float(value) for name, _, value in pairs}


@contextmanager
def depthrt_server(
    folder: Path, model: str | None, *options: str, port: int = 0
) -> Iterator[Served]:
    """`depthrt serve` in a process of its own until the end of the block, its log in a file."""
    served = start_depthrt(folder, model, *options)
    try:
        yield served
    finally:
        served.process.terminate()
        served.process.wait(60)


def start_depthrt(folder: Path, model: str | None, *options: str, port: int = 0) -> Served:
    """`depthrt serve`, once it answers.

    Raises:
        RuntimeError: it ended; its standard error is in the message.
    """
    log, errors = folder / "serve.log", folder / "serve.err"
    command = [sys.executable, "-m", "depthrt", "serve", *([model] if model else [])]
    seen = errors.stat().st_size if errors.exists() else 0
    with log.open("ab") as out, errors.open("ab") as err:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    while True:
        said = errors.read_bytes()[seen:].decode()
        found = _READY.search(said)
        if found:
            return Served(found[1], int(found[2]), process, log)
        if process.poll() is not None:
            raise RuntimeError(f"depthrt serve ended: {said}")
        time.sleep(0.02)


def load(
    address: tuple[str, int],
    pictures: Path,
    plan: Mapping[str, Any],
    *,
    path: str = "/v1/depth",
    headers: Mapping[str, str] = NPY,
) -> dict[str, Any]:
    """Run the client in a process of its own; see ``load.py`` for plans and results."""
    whole = {"host": address[0], "port": address[1], "path": path, "headers": dict(headers),
             "pictures": str(pictures), "seed": 0, **plan}  # fmt: skip
    command = [sys.executable, "-m", "experiments.serving.load"]
    done = subprocess.run(
        command, input=json.dumps(whole).encode(), stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def make_pictures(folder: Path, count: int, size: tuple[int, int] = (480, 640)) -> list[Path]:
    """Frames of the demo clip as JPEG files of this height and width."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for frame in open_source(DEMO_CLIP, Selection(max_frames=count)).frames():
        image = cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_CUBIC)
        path = folder / f"{len(paths):03d}.jpg"
        cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        paths.append(path)
    return paths


def processor_s(pid: int) -> float:
    """Seconds of processor time of a process and of all that came of it and still lives."""
    return sum(_own_processor_s(each) for each in tree(pid))


def memory_mb(pid: int) -> float:
    """Resident memory of a process, without its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def tree(pid: int) -> Sequence[int]:
    """A process and its children, and theirs."""
    found = [pid]
    for parent in found:
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
    return found


def _own_processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0 to 1) of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

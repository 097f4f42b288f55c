"""What monitoring costs: servers side by side, asked in turn.

- ``bare``: counts nothing and looks at nothing;
- ``monitored``: as `depthrt serve` is, scraped every five seconds;
- ``shadow``: also compares 1% of its images with the float file.

``full``: clients send the next picture as soon as they have an answer; images a second count.
``steady``: pictures come at a third of that rate; the median latency and the processor's time for
an image count, of all processes of the server. In each round every server has a turn of some
seconds, in random order; figures are medians over rounds of ratios within a round.

    python -m experiments.monitor.cost --float float.onnx
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np

from depthrt_benchmarks.common.environment import write_result
from experiments.monitor.live import free_port
from experiments.monitor.traffic import Traffic

RESULT = Path("benchmarks/results/monitoring_cost.json")
_SCRAPE_S = 5.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """One that answers."""

    name: str
    address: str
    pid: int

    def cpu_s(self) -> float:
        """The processor's time of its process and of those it started."""
        return sum(_cpu_s(pid) for pid in (self.pid, *_children(self.pid)))


@dataclass(frozen=True)
class Turn:
    """What came of some seconds: images a second, CPU time of each, median latency."""

    per_s: float
    cpu_ms: float
    median_ms: float


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for file in found for each in file.read_text().split()]


@contextmanager
def server(name: str, *options: str) -> Iterator[Server]:
    """A server, once it answers; its log is thrown away."""
    port = free_port()
    kind = "bare" if name == "bare" else "counted"
    command = [sys.executable, "-m", "experiments.monitor.counted_server", kind,
               "--port", str(port), *options]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr or ():
            if " is served at " in line:
                break
        else:
            raise RuntimeError(f"the server {name} ended with {process.wait()}")
        yield Server(name, f"127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(60)


def turn(asked: Server, bodies: Sequence[bytes], per_s: float, seconds: float) -> Turn:
    """Ask a server for some seconds."""
    cpu_s, start_s = asked.cpu_s(), time.monotonic()
    with Traffic(asked.address, bodies, per_s) as traffic:
        time.sleep(seconds)
    spent_s = time.monotonic() - start_s
    done = traffic.statuses.get(200, 0)
    return Turn(
        done / spent_s,
        1e3 * (asked.cpu_s() - cpu_s) / max(1, done),
        1e3 * float(np.median(traffic.latencies_s)),
    )


@contextmanager
def scraped(servers: Sequence[Server]) -> Iterator[None]:
    """Read the metrics of servers again and again."""
    ending = threading.Event()

    def scrape() -> None:
        while not ending.wait(_SCRAPE_S):
            for each in servers:
                with urlopen(f"http://{each.address}/metrics", timeout=30) as answer:
                    answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def rounds(
    servers: Sequence[Server], ask: Callable[[Server], Turn], count: int
) -> dict[str, list[Turn]]:
    """A turn for each server in each round, in random order."""
    order, found = random.Random(1), dict[str, list[Turn]]()
    for _ in range(count):
        for each in order.sample(servers, len(servers)):
            found.setdefault(each.name, []).append(ask(each))
    return found


def compared(found: dict[str, list[Turn]], name: str, base: str) -> dict[str, Any]:
    """Ratios of one server to another, medians over rounds with their quartiles."""
    result = {}
    for figure in ("per_s", "cpu_ms", "median_ms"):
        pairs = zip(found[name], found[base], strict=True)
        ratios = [getattr(a, figure) / getattr(b, figure) for a, b in pairs]
        quartiles = np.quantile(ratios, (0.25, 0.5, 0.75))
        result[figure] = dict(
            zip(("q25", "median", "q75"), quartiles.round(4).tolist(), strict=True)
        )
    return result


def pictures(count: int = 16) -> list[bytes]:
    """JPEGs of 640x480 with some texture."""
    found = []
    for seed in range(count):
        small = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
        made, content = cv2.imencode(".jpg", cv2.resize(small, (640, 480)))
        if made:
            found.append(content.tobytes())
    return found


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--float", dest="float_file", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    bodies, shadow = pictures(), ("--shadow", "1%", "--shadow-model", said.float_file)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        kept = ("--reference", f"{folder}/usual.json")
        servers = [
            stack.enter_context(server("bare")),
            stack.enter_context(server("monitored", *kept)),
            stack.enter_context(server("shadow", *shadow)),
        ]
        stack.enter_context(scraped(servers[1:]))
        for each in servers:
            turn(each, bodies, 1e6, 2.0)
        full = rounds(servers, lambda s: turn(s, bodies, 1e6, said.seconds), said.rounds)
        steady_s = float(np.median([each.per_s for each in full["bare"]])) / 3
        steady = rounds(servers, lambda s: turn(s, bodies, steady_s, said.seconds), said.rounds)
    result: dict[str, Any] = {"rounds": said.rounds, "seconds": said.seconds}
    for name, found in (("full", full), ("steady", steady)):
        result[name] = {
            "images_per_s": {
                each: round(float(np.median([t.per_s for t in turns])), 2)
                for each, turns in found.items()
            },
            "monitored_to_bare": compared(found, "monitored", "bare"),
            "shadow_to_monitored": compared(found, "shadow", "monitored"),
        }
    write_result(said.output, result)


if __name__ == "__main__":
    main()

r"""Requests over restarts: each answered once, with its own depth, while the server comes and goes.

A supervisor ends `depthrt serve` by SIGTERM again and again while 16 clients are busy, waits until
it has ended, and starts it anew at the same port. Clients whose connection is refused try again;
so do those whose connection was cut, for the sake of the count. Every picture's depth is known
before, to the bit. By the server's log, which has the id of every request:

- ``lost``: requests that the server had taken, but that were not answered;
- ``doubled``: requests that were answered with depth twice;
- ``wrong_depth``: answers that are not the depth of their picture;
- ``cut_before_taken``: connections that the kernel had made, but that the server never took.

    python -m experiments.serving.restarts -m depthrt-xs \
        -o benchmarks/results/serving_restarts.json
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt.sources.images import read_image
from depthrt_benchmarks.common.environment import write_result
from experiments.serving.http_client import CUT, REFUSED, UNANSWERED, Ask, Client, Got, post
from experiments.serving.processes import NPY, Served, make_pictures, start_depthrt

_CLIENTS = 16
_AGAIN_S = 0.1  # after which a client that was refused tries again
_DEADLINE = {"Depthrt-Deadline-Ms": "60000"}


@dataclass(eq=False)
class Tally:
    """What the clients saw."""

    answered: Counter[int] = field(default_factory=Counter)
    wrong_depth: int = 0
    cut: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)


class Clients:
    """Sixteen clients that ask until every request has its answer.

    Args:
        bodies: pictures, and ``expected`` the answer to each.
        count: requests in all, at most; none is begun after ``stop_s``, by ``time.monotonic``.
    """

    def __init__(
        self, bodies: Sequence[bytes], expected: Sequence[bytes], count: int, stop_s: float
    ) -> None:
        self.tally, self._stop_s = Tally(), stop_s
        self._bodies, self._expected, self._count = bodies, expected, count
        self.begun = 0

    def run(self, address: tuple[str, int]) -> None:
        """Ask until all is answered."""
        client = Client(address, self._then)
        first = [ask for _ in range(_CLIENTS) if (ask := self._new(time.monotonic())) is not None]
        client.run(first, float("inf"))

    @property
    def done(self) -> int:
        """Requests that were answered with depth."""
        return len(self.tally.answered)

    def _new(self, due_s: float) -> Ask | None:
        if self.begun >= self._count or due_s >= self._stop_s:
            return None
        self.begun += 1
        return self._ask(self.begun - 1, 0, due_s)

    def _ask(self, tag: int, tries: int, due_s: float) -> Ask:
        headers = {**NPY, **_DEADLINE, "X-Request-Id": f"{tag}-{tries}"}
        content = post("/v1/depth", self._bodies[tag % len(self._bodies)], headers)
        return Ask(due_s, content, tag, tries=tries)

    def _then(self, got: Got) -> Ask | None:
        tally, ask = self.tally, got.ask
        tally.statuses[str(got.status)] += 1
        if got.status == 200:
            tally.answered[ask.tag] += 1
            tally.wrong_depth += got.body != self._expected[ask.tag % len(self._expected)]
            return self._new(got.end_s)
        if got.status in (CUT, UNANSWERED):
            tally.cut.add(f"{ask.tag}-{ask.tries}")
        wait_s = got.retry_after_s or (_AGAIN_S if got.status == REFUSED else 0.0)
        return self._ask(ask.tag, ask.tries + 1, got.end_s + wait_s)


def supervise(
    served: Served,
    folder: Path,
    model: str,
    asking: threading.Thread,
    is_time: Sequence[Callable[[], bool]],
) -> Served:
    """End and start the server whenever it is time; the last one that runs.

    Raises:
        RuntimeError: it did not end as it should, or the clients ended early.
    """
    for due in is_time:
        while not due():
            if not asking.is_alive():
                raise RuntimeError("the clients ended early")
            time.sleep(0.005)
        served.process.send_signal(signal.SIGTERM)
        status = served.process.wait(120)
        if status:
            raise RuntimeError(f"depthrt serve ended with {status}")
        served = start_depthrt(folder, model, port=served.port)
    return served


def logged(path: Path) -> Counter[str]:
    """How often the server answered each id with depth; 0: it took it, and answered otherwise."""
    found: Counter[str] = Counter()
    with path.open() as lines:
        for line in lines:
            entry = json.loads(line)
            if entry["event"] == "request":
                found[entry["request_id"]] += entry["status"] == 200
    return found


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run(
    model_name: str, requests: int, restarts: int, folder: Path, seconds: float = 3600.0
) -> dict[str, Any]:
    """All requests over all restarts, and what became of them."""
    model = DepthModel.load(model_name)
    paths = make_pictures(folder / "pictures", 48, (120, 160))
    expected = []
    for path in paths:
        file = io.BytesIO()
        np.save(file, model(read_image(path)).values)
        expected.append(file.getvalue())
    served = start_depthrt(folder, model_name, port=free_port())
    start_s = time.monotonic()
    bodies = [path.read_bytes() for path in paths]
    clients = Clients(bodies, expected, requests, start_s + seconds)
    asking = threading.Thread(target=clients.run, args=((served.host, served.port),), daemon=True)

    def after(share: float) -> bool:
        return clients.done >= requests * share or time.monotonic() >= start_s + seconds * share

    is_time = [partial(after, (number + 1) / (restarts + 1)) for number in range(restarts)]
    asking.start()
    served = supervise(served, folder, model_name, asking, is_time)
    asking.join()
    whole_s = time.monotonic() - start_s
    served.process.terminate()
    served.process.wait(60)
    judgement = judged(clients.tally, logged(served.log), clients.begun)
    return {"requests": clients.begun, "seconds": round(whole_s, 1), **judgement}


def judged(tally: Tally, log: Counter[str], requests: int) -> dict[str, Any]:
    """What was lost and doubled, by what the clients saw and what the server's log says."""
    by_request: Counter[str] = Counter()
    for request_id, answers in log.items():
        by_request[request_id.partition("-")[0]] += answers
    return {
        "answered": len(tally.answered),
        "unanswered": requests - len(tally.answered),
        "lost": sum(request_id in log for request_id in tally.cut),
        "doubled": sum(count > 1 for count in by_request.values())
        + sum(count > 1 for count in tally.answered.values()),
        "wrong_depth": tally.wrong_depth,
        "refused_connections": tally.statuses[str(REFUSED)],
        "cut_before_taken": sum(request_id not in log for request_id in tally.cut),
        "statuses": dict(sorted(tally.statuses.items())),
    }


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default="depthrt-xs")
    parser.add_argument("--requests", type=int, default=100_000, help="at most")
    parser.add_argument("--minutes", type=float, default=60, help="at most")
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        seconds = 60 * options.minutes
        found = run(options.model, options.requests, options.restarts, Path(name), seconds)
    figures = {"model": options.model, "restarts": options.restarts, "clients": _CLIENTS, **found}
    print(json.dumps(figures, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "serving_restarts", **figures})


if __name__ == "__main__":
    main()

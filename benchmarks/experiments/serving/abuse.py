r"""Thousands of mutated requests: no 5xx but 503, no crash, no growth of memory.

Pictures mutated by bytes, multipart bodies, queries, bodies of the Open Inference Protocol in JSON
and binary, WebSocket frames, headers, what is hardly HTTP, slow senders and clips. Four clients
send them to `depthrt serve` in a process of its own; resident memory is noted on the way, once the
queue is empty. ``growth_mb`` is what memory grew by from a fifth of the way to the end.

With ``--schemathesis``, the program ``schemathesis`` makes requests from the OpenAPI document, too.

    python -m experiments.serving.abuse -o benchmarks/results/serving_abuse.json
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depthrt.model.catalogue.registry import DEMO_CLIP
from depthrt.sources.base import Selection
from depthrt.sources.open import open_source
from depthrt_benchmarks.common.environment import write_result
from experiments.serving.mutations import Attack, Attacks
from experiments.serving.processes import Served, depthrt_server, memory_mb

_CLIENTS = 4
_PARTS = 10  # after each of which memory is noted
_TIMEOUT_S = 20.0
_FRAMES_S = 0.2
_SCHEMATHESIS_S = 60.0
_ENOUGH = 4096  # bytes of an answer that are read
SHORT = ("--deadline-ms", "5000")


@dataclass(eq=False)
class Outcome:
    """What the attacks came to; statuses by kind, 0 where the connection was closed instead."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def note(self, attack: Attack, status: int | None) -> None:
        """Count one; ``None``: the server neither answered nor closed in time."""
        if status is None:
            self.silent.append(attack.kind)
            return
        self.statuses.setdefault(attack.kind, Counter())[status] += 1
        if status >= 500 and status != 503:
            self.failed.append(f"{attack.kind}: {status}, {attack.pieces[0][:200]!r}")


def attack_once(address: tuple[str, int], attack: Attack) -> int | None:
    """Send one and give the status of the answer; 0: closed without one; None: nothing came."""
    with socket.create_connection(address, timeout=_TIMEOUT_S) as client:
        try:
            for number, piece in enumerate(attack.pieces):
                if number:
                    time.sleep(attack.pause_s)
                client.sendall(piece)
            if not attack.waits:
                return 0
            if attack.half_closes:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was closed meanwhile; the answer may be there
        try:
            answer = client.recv(_ENOUGH)
        except TimeoutError:
            return None
        except OSError:
            return 0
        if attack.kind == "websocket":  # frames are looked at after the handshake's answer
            client.settimeout(_FRAMES_S)
            with suppress(OSError):
                while client.recv(_ENOUGH):
                    pass
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


def send_all(address: tuple[str, int], attacks: Sequence[Attack], outcome: Outcome) -> None:
    """Four clients, each with its share."""

    def work(own: Sequence[Attack]) -> None:
        for attack in own:
            outcome.note(attack, attack_once(address, attack))

    threads = [
        threading.Thread(target=work, args=(attacks[number::_CLIENTS],))
        for number in range(_CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def settle(served: Served) -> float:
    """Memory in MB once nothing waits and no clip is left.

    Raises:
        RuntimeError: the server is gone, or does not come to rest.
    """
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        if served.process.poll() is not None:
            raise RuntimeError(f"the server ended with {served.process.returncode}")
        for clip in json.loads(served.get("/v1/clips"))["clips"]:
            where = f"http://{served.host}:{served.port}/v1/clips/{clip['id']}"
            with suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(where, method="DELETE")).close()
        waiting = json.loads(served.get("/health/ready"))["waiting_images"]
        if not waiting and not json.loads(served.get("/v1/clips"))["clips"]:
            return memory_mb(served.process.pid)
        time.sleep(0.1)
    raise RuntimeError("the server does not come to rest")


def originals(folder: Path) -> tuple[list[bytes], bytes]:
    """Whole pictures of every format, and a whole video of few frames."""
    clip = folder / "clip.mp4"
    code = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(clip), code, 10, (80, 60))
    files = []
    for frame in open_source(DEMO_CLIP, Selection(max_frames=4)).frames():
        image = cv2.resize(np.asarray(frame.image)[..., ::-1], (160, 120))
        files += [cv2.imencode(end, image)[1].tobytes() for end in (".jpg", ".png", ".webp")]
        writer.write(cv2.resize(image, (80, 60)))
    writer.release()
    return files, clip.read_bytes()


def run(
    model: str | None, requests: int, seed: int, folder: Path, schemathesis: str | None
) -> dict[str, Any]:
    """All attacks, and what the server came to."""
    files, clip = originals(folder)
    outcome, memory = Outcome(), []
    with depthrt_server(folder, model, *SHORT) as served:
        facts = json.loads(served.get("/v1/models"))["models"][0]
        attacks = Attacks(files, clip, facts["name"], tuple(facts["size"]), random.Random(seed))
        address = (served.host, served.port)
        start_s, memory = time.monotonic(), [settle(served)]
        for part in range(_PARTS):
            count = requests * (part + 1) // _PARTS - requests * part // _PARTS
            send_all(address, [attacks.next() for _ in range(count)], outcome)
            memory.append(settle(served))
        found = {
            "seconds": round(time.monotonic() - start_s, 1),
            "statuses": {
                kind: {str(status): n for status, n in sorted(counts.items())}
                for kind, counts in sorted(outcome.statuses.items())
            },
            "neither_answered_nor_closed": dict(Counter(outcome.silent)),
            "failed": outcome.failed[:20],
            "failures": len(outcome.failed),
            "tracebacks": served.log.read_text().count("Traceback")
            + (folder / "serve.err").read_text().count("Traceback"),
            "memory_mb": [round(each, 1) for each in memory],
            "growth_mb": round(memory[-1] - memory[_PARTS // 5], 1),
        }
        if schemathesis:
            found["schemathesis"] = from_openapi(served, schemathesis)
        served.get("/health/live")
    return {"requests": requests, "seed": seed, **found, "exit_status": served.process.returncode}


def from_openapi(served: Served, program: str) -> dict[str, Any]:
    """Requests that `schemathesis` makes of the document, by the status of the answer.

    Raises:
        RuntimeError: it did not work.
    """
    where = f"http://{served.host}:{served.port}/openapi.json"
    before = _by_status(served)
    done = subprocess.run(
        [program, "run", where, "--checks", "not_a_server_error", "--no-color",
         "--max-time", f"{_SCHEMATHESIS_S:g}", "--exclude-path-regex", "metrics"],
        capture_output=True, text=True,
    )  # fmt: skip
    statuses = _by_status(served)
    statuses.subtract(before)
    if done.returncode not in (0, 1):  # 1: it counts 503 among what is wrong
        raise RuntimeError(f"schemathesis failed: {done.stdout}{done.stderr}")
    return {
        "requests": sum(statuses.values()),
        "statuses": {key: count for key, count in sorted(statuses.items()) if count},
        "failures": sum(n for key, n in statuses.items() if key.startswith("5") and key != "503"),
    }


def _by_status(served: Served) -> Counter[str]:
    """How many requests it answered with each status."""
    found: Counter[str] = Counter()
    for name, value in served.counters().items():
        status = re.fullmatch(r'depthrt_requests_total\{.*status="(\w+)".*\}', name)
        if status:
            found[status[1]] += int(value)
    return found


def main() -> None:
    """Run, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", default="depthrt-xs")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--schemathesis", help="the program, where it is installed")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = run(options.model, options.requests, options.seed, Path(name), options.schemathesis)
    print(json.dumps(found, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "serving_abuse", **found})


if __name__ == "__main__":
    main()

"""The client's process: reads what to do as JSON from standard input, writes what it found.

    python -m experiments.serving.load < plan.json

A plan has ``host``, ``port``, ``path``, ``headers``, ``pictures`` (a folder), ``form`` (the field
of the form that a picture is sent in; empty: it is the body), ``seed``, ``seconds`` and either
``clients`` (a closed loop: each sends its next request once it has its answer) or ``rate`` (an open
loop: Poisson arrivals, whatever the server does). Of an open loop:

- ``deadline_s``: of the requests' header, and after which an answer is worth nothing;
- ``leaving``: the share of clients that hang up, at a random moment before the deadline;
- ``obeying``: whether refused clients come back when the server said so, ``tries`` times at most;
- ``burst``: as many requests arrive at once, in place of ``rate``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from experiments.serving.http_client import Ask, Client, Got, post

_SETTLE_S = 0.2  # between the start and the first arrival
WARM_S = 1.0  # of a closed loop, not counted


def closed_loop(plan: dict[str, Any], contents: list[bytes]) -> list[Got]:
    """Every client asks again once it is answered."""
    found: list[Got] = []
    start_s = time.monotonic()
    stop_s = start_s + WARM_S + plan["seconds"]

    def then(got: Got) -> Ask | None:
        found.append(got)
        tag = got.ask.tag + plan["clients"]
        return Ask(got.end_s, contents[tag % len(contents)], tag) if got.end_s < stop_s else None

    client = Client((plan["host"], plan["port"]), then)
    asks = [Ask(start_s, contents[n % len(contents)], n) for n in range(plan["clients"])]
    client.run(asks, stop_s)
    return found


def open_loop(plan: dict[str, Any], contents: list[bytes]) -> list[Got]:
    """Requests arrive when they arrive."""
    rng = random.Random(plan["seed"])
    found: list[Got] = []
    first_s = due_s = time.monotonic() + _SETTLE_S
    asks = []
    burst = plan.get("burst", 0)
    for number in range(burst or sys.maxsize):
        if not burst:
            due_s += rng.expovariate(plan["rate"])
            if due_s > first_s + plan["seconds"]:
                break
        leaves = rng.random() < plan.get("leaving", 0)
        hang_up_s = rng.uniform(0, plan["deadline_s"]) if leaves else None
        asks.append(Ask(due_s, contents[number % len(contents)], number, hang_up_s))

    def then(got: Got) -> Ask | None:
        found.append(got)
        ask, wait_s = got.ask, got.retry_after_s
        if not plan.get("obeying") or wait_s is None or ask.tries + 1 >= plan["tries"]:
            return None
        return Ask(got.end_s + wait_s, ask.content, ask.tag, ask.hang_up_s, ask.tries + 1)

    client = Client((plan["host"], plan["port"]), then)
    longest_s = plan["seconds"] + 2 * plan["deadline_s"] + 5
    client.run(asks, first_s + longest_s)
    return found


def as_form(name: str, content: bytes) -> bytes:
    """A picture in a multipart/form-data body, whose boundary is ``frontier``."""
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n'
    kind = "Content-Type: image/jpeg\r\n\r\n"
    return (head + kind).encode() + content + b"\r\n--frontier--\r\n"


def main() -> None:
    """Do what standard input says."""
    plan = json.load(sys.stdin)
    folder = Path(plan["pictures"])
    bodies = [path.read_bytes() for path in sorted(folder.iterdir())]
    if plan.get("form"):
        bodies = [as_form(plan["form"], body) for body in bodies]
        plan["headers"]["Content-Type"] = "multipart/form-data; boundary=frontier"
    contents = [post(plan["path"], body, plan["headers"]) for body in bodies]
    spent_s, start_s = time.process_time(), time.monotonic()
    found = (closed_loop if "clients" in plan else open_loop)(plan, contents)
    result = {
        "seconds": time.monotonic() - start_s,
        "processor_s": time.process_time() - spent_s,
        "rows": [
            {
                "tag": got.ask.tag,
                "tries": got.ask.tries,
                "status": got.status,
                "due_s": got.ask.due_s - start_s,
                "latency_s": got.latency_s,
                "retry_after_s": got.retry_after_s,
                "bytes": len(got.body),
            }
            for got in found
        ],
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

r"""`depthrt serve` under more load than it can take: open loop, Poisson arrivals, a deadline each.

The capacity is what 16 clients get in a closed loop, measured before every level. Then requests
arrive at 0.5, 1, 2 and 4 times that rate, whatever the server does, and a tenth of the clients
hangs up at a random moment before the deadline. Latency counts from the moment that a request was
due.

- ``goodput_over_capacity``: answers with depth within the deadline, by the client's clock;
- ``over_deadline``: the share of answers with depth that came later;
- ``wasted_images``: computed to the end although their client had hung up, or it was too late;
- ``aborted_images``: whose inference was ended for that reason;
- ``begun_share_of_refused``: of the refused, those that were refused in the middle of an inference.

``burst``: many clients at once, more than may wait, that obey what they are told: how many find
room when they come back the first time, and how long all of it takes, over images / capacity.

    python -m experiments.serving.overload -o benchmarks/results/serving_overload.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result
from experiments.serving.processes import (
    NPY,
    Served,
    depthrt_server,
    load,
    make_pictures,
    percentile,
)
from experiments.serving.throughput import CLIENTS, served_rate

LEVELS = (0.5, 1.0, 2.0, 4.0)
_LEAVING = 0.1
_TRIES = 20
_COUNTED = {
    "images": "depthrt_images_total",
    "wasted_images": "depthrt_wasted_images_total",
    "aborted_images": "depthrt_aborted_images_total",
    "abandoned_images": "depthrt_abandoned_images_total",
}


def counted(served: Served) -> dict[str, float]:
    """The server's counters of images, over all labels."""
    found = served.counters()
    return {
        key: sum(value for name, value in found.items() if name.partition("{")[0] == counter)
        for key, counter in _COUNTED.items()
    }


def of_level(
    found: Mapping[str, Any],
    counts: Mapping[str, float],
    capacity: float,
    seconds: float,
    deadline_s: float,
) -> dict[str, Any]:
    """What a run of the open loop says."""
    rows = found["rows"]
    answered_s = [row["latency_s"] for row in rows if row["status"] == 200]
    refused_s = [row["latency_s"] for row in rows if row["status"] in (429, 503)]
    good = sum(latency_s <= deadline_s for latency_s in answered_s)
    late = len(answered_s) - good
    return {
        "capacity_per_s": capacity,
        "offered_per_s": len(rows) / seconds,
        "statuses": dict(sorted(Counter(str(row["status"]) for row in rows).items())),
        "goodput_over_capacity": good / seconds / capacity,
        "goodput_over_stayed": good / max(1, sum(row["status"] > 0 for row in rows)),
        "over_deadline": late / max(1, len(answered_s)),
        **{f"answered_{name}_ms": value for name, value in _times_ms(answered_s).items()},
        **{f"refused_{name}_ms": value for name, value in _times_ms(refused_s).items()},
        **counts,
        "begun_share_of_refused": min(1.0, counts["aborted_images"] / max(1, len(refused_s))),
        "client_cores": found["processor_s"] / found["seconds"],
    }


def level(
    served: Served, pictures: Path, factor: float, seconds: float, deadline_s: float, seed: int
) -> dict[str, Any]:
    """The capacity, and the open loop at so many times that rate."""
    capacity = served_rate(served, pictures, max(2.0, seconds / 3))["images_per_s"]
    before = counted(served)
    plan = {"rate": factor * capacity, "seconds": seconds, "deadline_s": deadline_s,
            "leaving": _LEAVING, "seed": seed}  # fmt: skip
    found = load((served.host, served.port), pictures, plan, headers=_headers(deadline_s))
    after = counted(served)
    counts = {key: after[key] - before[key] for key in after}
    return of_level(found, counts, capacity, seconds, deadline_s)


def burst(
    served: Served, pictures: Path, clients: int, deadline_s: float, capacity: float
) -> dict[str, Any]:
    """Many at once, who come back when they were told to."""
    plan = {"burst": clients, "seconds": 10 + 4 * clients / capacity, "deadline_s": deadline_s,
            "obeying": True, "tries": _TRIES}  # fmt: skip
    found = load((served.host, served.port), pictures, plan, headers=_headers(deadline_s))
    rows = found["rows"]
    good = [row for row in rows if row["status"] == 200]
    at_first, at_second = (sum(row["tries"] == number for row in good) for number in (0, 1))
    end_s = max((row["due_s"] + row["latency_s"] for row in good), default=0.0)
    begin_s = min(row["due_s"] for row in rows)
    return {
        "clients": clients,
        "answered": len(good),
        "answered_at_once": at_first,
        "found_room_at_first_return": at_second / max(1, clients - at_first),
        "requests_per_client": len(rows) / clients,
        "most_tries": 1 + max(row["tries"] for row in rows),
        "seconds_over_ideal": (end_s - begin_s) / (clients / capacity),
    }


def measure(model: str | None, seconds: float, deadline_s: float, rounds: int) -> dict[str, Any]:
    """All levels, ``rounds`` times, and a burst."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures"
        make_pictures(pictures, 24)
        with depthrt_server(folder, model) as served:
            facts = json.loads(served.get("/v1/models"))["models"][0]
            rows: dict[str, list[dict[str, Any]]] = {}
            for number in range(rounds):
                for factor in LEVELS:
                    row = level(served, pictures, factor, seconds, deadline_s, number)
                    rows.setdefault(f"{factor:g}x", []).append(row)
            capacity = statistics.median(
                row["capacity_per_s"] for each in rows.values() for row in each
            )
            bursts = [burst(served, pictures, 200, deadline_s, capacity) for _ in range(rounds)]
        return {
            "model": {key: facts[key] for key in ("name", "size", "provider", "batch", "parallel")},
            "clients_of_capacity": CLIENTS,
            "seconds": seconds,
            "rounds": rounds,
            "deadline_ms": 1e3 * deadline_s,
            "leaving": _LEAVING,
            "levels": {name: medians(each) for name, each in rows.items()},
            "burst": medians(bursts),
        }


def medians(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of every figure; of counts by status the sum."""
    result: dict[str, Any] = {}
    for key, value in rows[0].items():
        if isinstance(value, dict):
            total: Counter[str] = Counter()
            for row in rows:
                total.update(row[key])
            result[key] = dict(total)
        else:
            result[key] = round(statistics.median(row[key] for row in rows), 4)
    return result


def _headers(deadline_s: float) -> dict[str, str]:
    return {**NPY, "Depthrt-Deadline-Ms": f"{1e3 * deadline_s:g}"}


def _times_ms(latencies_s: Sequence[float]) -> dict[str, float]:
    if not latencies_s:
        return {"p50": 0.0, "p99": 0.0, "worst": 0.0}
    return {
        "p50": 1e3 * percentile(latencies_s, 0.5),
        "p99": 1e3 * percentile(latencies_s, 0.99),
        "worst": 1e3 * max(latencies_s),
    }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--seconds", type=float, default=10, help="of each level")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--deadline-ms", type=float, default=500)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    figures = measure(options.model, options.seconds, options.deadline_ms / 1e3, options.rounds)
    print(json.dumps(figures, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "serving_overload", **figures})


if __name__ == "__main__":
    main()

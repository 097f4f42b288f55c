r"""Throughput of `depthrt serve` at 16 clients, over the ceiling of the same work without HTTP.

Clients post JPEG pictures of 640x480 and take depth as npy; each asks again once it is answered.
The ceiling is one process that decodes and runs the bare session (:mod:`experiments.serving.bare`),
at the server's batch and at 4, of which the better counts. Both take turns, round by round.

The client is a process of its own on the same cores, and takes from the server what it needs
itself. So the ratio is given both ways: as it is (``over_ceiling``), and over the ceiling of the
cores that the client left (``over_ceiling_of_its_cores``). The processor time of an image in both
(``over_ceiling_by_processor_time``) says the same, and does so on a busy machine.

    python -m experiments.serving.throughput -o benchmarks/results/serving_throughput.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.common.environment import write_result
from experiments.serving.load import WARM_S
from experiments.serving.processes import (
    NPY,
    Served,
    depthrt_server,
    load,
    make_pictures,
    percentile,
    processor_s,
)

CLIENTS = 16
_BATCHED = 4
_LEAST_BYTES = 1000  # of depth


def ceiling(pictures: Path, seconds: float, batch: int, model: str | None) -> dict[str, float]:
    """Images a second without HTTP, and the processor time of each."""
    command = [sys.executable, "-m", "experiments.serving.bare", str(pictures), str(seconds)]
    command += [str(batch), *([model] if model else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def served_rate(
    served: Served,
    pictures: Path,
    seconds: float,
    path: str = "/v1/depth",
    *,
    form: str = "",
    headers: Mapping[str, str] = NPY,
) -> dict[str, float]:
    """Images a second of a server, latency, and what it and its clients took of the processor.

    Raises:
        RuntimeError: no answer was depth.
    """
    before_s = processor_s(served.process.pid)
    plan = {"clients": CLIENTS, "seconds": seconds, "form": form}
    patient = {**headers, "Depthrt-Deadline-Ms": "60000"}
    found = load((served.host, served.port), pictures, plan, path=path, headers=patient)
    spent_s = processor_s(served.process.pid) - before_s
    whole_s = WARM_S + seconds
    done = [row for row in found["rows"] if row["due_s"] + row["latency_s"] < whole_s]
    good = [row for row in done if row["status"] == 200 and row["bytes"] > _LEAST_BYTES]
    rows = [row for row in good if row["due_s"] + row["latency_s"] >= WARM_S]
    if not rows:
        raise RuntimeError(f"it answered {sorted({row['status'] for row in done})}")
    latencies_s = [row["latency_s"] for row in rows]
    return {
        "images_per_s": len(rows) / seconds,
        "failed": float(len(done) - len(good)),
        "p50_ms": 1e3 * percentile(latencies_s, 0.5),
        "p99_ms": 1e3 * percentile(latencies_s, 0.99),
        "server_cores": spent_s / found["seconds"],
        "server_processor_ms": 1e3 * spent_s / len(good),
        "client_cores": found["processor_s"] / found["seconds"],
        "client_processor_ms": 1e3 * found["processor_s"] / len(good),
    }


def one_round(
    served: Served, pictures: Path, seconds: float, model: str | None
) -> dict[str, float]:
    """Every figure once."""
    batch = json.loads(served.get("/v1/models"))["models"][0]["batch"]
    ceilings = {size: ceiling(pictures, seconds, size, model) for size in {batch, _BATCHED}}
    found = served_rate(served, pictures, seconds)
    best, cores = max(each["images_per_s"] for each in ceilings.values()), usable_cores()
    least_ms = min(each["processor_ms"] for each in ceilings.values())
    return {
        **{f"ceiling_batch_{size}_per_s": each["images_per_s"] for size, each in ceilings.items()},
        "ceiling_processor_ms": least_ms,
        **found,
        "over_ceiling": found["images_per_s"] / best,
        "over_ceiling_of_its_cores": found["images_per_s"]
        / (best * (cores - found["client_cores"]) / cores),
        "over_ceiling_by_processor_time": least_ms / found["server_processor_ms"],
    }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of every figure."""
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}


def measure(model: str | None, seconds: float, rounds: int) -> dict[str, Any]:
    """All rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures"
        paths = make_pictures(pictures, 24)
        with depthrt_server(folder, model) as served:
            facts = json.loads(served.get("/v1/models"))["models"][0]
            rows = [one_round(served, pictures, seconds, model) for _ in range(rounds)]
        return {
            "model": {key: facts[key] for key in ("name", "size", "provider", "batch", "parallel")},
            "picture_bytes": round(statistics.mean(path.stat().st_size for path in paths)),
            "clients": CLIENTS,
            "seconds": seconds,
            "rounds": rounds,
            "medians": medians(rows),
            "of_each_round": [round(row["over_ceiling"], 4) for row in rows],
        }


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    figures = measure(options.model, options.seconds, options.rounds)
    print(json.dumps(figures, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "serving_throughput", **figures})


if __name__ == "__main__":
    main()

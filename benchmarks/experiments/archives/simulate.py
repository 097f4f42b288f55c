"""What 1 to 1,000 workers do with 10,000 hours of video: where it stops scaling, and why.

Stage costs are measured on this machine (``--measure``) or taken from the result of before; real
runs of `depthrt batch` with one and two workers say how far the model is off (``--validate``).

    python -m experiments.archives.simulate --measure --validate \\
        -o benchmarks/results/archives_scale.json --figure docs/_static/archives_scale.svg

Measuring takes two minutes of a quiet machine of two cores, the simulation itself less than one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthrt.files.json_file import read_object
from depthrt_benchmarks.common.environment import write_result
from depthrt_benchmarks.common.report.plot import COLOURS, SOFT, plot_file
from experiments.archives.archive import bounds, skewed_lengths
from experiments.archives.cluster_model import Cluster, Costs, Simulation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOURS, SEED, SEGMENT_S = 10_000.0, 29, 60.0
MEAN_S, SIGMA = 20 * 60.0, 1.3  # a skewed archive: half of the hours lie in a tenth of the videos
WORKERS = (1, 10, 100, 300, 1000)
STORE_BYTES_PER_S, LINK_BYTES_PER_S = 10e9 / 8, 1e9 / 8  # assumed: 10 and 1 Gbit/s
GPU_INFER_S, GPU_DECODE_SHARE = 0.0005, 0.125  # assumed: a GPU, and eight cores that decode for it


@dataclass(frozen=True)
class Scenario:
    """A row: costs, and a cluster of any size; ``sorted``: the longest videos come first."""

    costs: Costs
    cluster: Cluster
    is_sorted: bool = False


def point(scenario: Scenario, workers: int) -> dict[str, Any]:
    """The archive on a cluster of so many workers."""
    lengths_s = skewed_lengths(HOURS, MEAN_S, SIGMA, SEED)
    if scenario.is_sorted:
        lengths_s.sort(reverse=True)
    cluster = replace(scenario.cluster, workers=workers)
    out = Simulation(lengths_s, SEGMENT_S, scenario.costs, cluster, SEED).run()
    least = bounds(lengths_s, SEGMENT_S, scenario.costs, cluster)
    return {
        "workers": workers,
        "hours": out.seconds / 3600,
        "efficiency": least["work"] / out.seconds,
        "bounds_hours": {name: value / 3600 for name, value in least.items()},
        "driver_busy": out.driver_s / out.seconds,
        "fetch_share": out.fetch_s / (workers * out.seconds),
        "lost_share": out.lost_s / (workers * out.seconds),
        "deaths": out.deaths,
        "tail_share": out.tail_s / out.seconds,
        "segments_ahead": out.ahead,
        "tasks": out.tasks,
    }


def scenarios(costs: Costs) -> dict[str, Scenario]:
    """All rows of the table, by name."""
    own = Cluster(1)
    store = replace(own, store_bytes_per_s=STORE_BYTES_PER_S, link_bytes_per_s=LINK_BYTES_PER_S)
    gpu = replace(
        costs,
        infer_s=GPU_INFER_S,
        decode_s=costs.decode_s * GPU_DECODE_SHARE,
        finish_s=costs.finish_s * GPU_DECODE_SHARE,
    )
    return {
        "one core each": Scenario(costs, own),
        "the longest videos first": Scenario(costs, own, is_sorted=True),
        "no network ahead": Scenario(costs, replace(own, runs_ahead=False)),
        "one in 20 is 3 times as slow": Scenario(
            costs, replace(own, slow_share=0.05, slow_factor=3.0)
        ),
        "each dies every 10 hours": Scenario(costs, replace(own, died_every_s=36_000.0)),
        "from one object store": Scenario(costs, store),
        "a GPU and 8 cores each, same store": Scenario(gpu, store),
    }


def simulate(costs: Costs) -> dict[str, Any]:
    """Every row on clusters of every size, on all cores of this machine."""
    asked = scenarios(costs)
    lengths_s = skewed_lengths(HOURS, MEAN_S, SIGMA, SEED)
    with ProcessPoolExecutor() as pool:
        futures = {
            name: [pool.submit(point, scenario, workers) for workers in WORKERS]
            for name, scenario in asked.items()
        }
        rows = {name: [each.result() for each in row] for name, row in futures.items()}
    return {
        "videos": len(lengths_s),
        "longest_hours": max(lengths_s) / 3600,
        "half_of_the_hours_in_share_of_videos": _half(lengths_s),
        "rows": rows,
    }


def _half(lengths_s: list[float]) -> float:
    """The share of the videos, the longest ones, that hold half of the hours."""
    ordered, total_s, seen_s = sorted(lengths_s, reverse=True), sum(lengths_s), 0.0
    for count, length_s in enumerate(ordered, 1):
        seen_s += length_s
        if seen_s >= total_s / 2:
            return count / len(ordered)
    return 1.0


def draw(rows: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """Speed over one worker, by workers."""

    def fill(axes: Axes) -> None:
        axes.plot(WORKERS, WORKERS, color=SOFT, linestyle=":", label="one for one")
        for (name, row), colour in zip(rows.items(), COLOURS, strict=False):
            one = row[0]["hours"] * row[0]["workers"]
            axes.plot(
                [each["workers"] for each in row],
                [one / each["hours"] for each in row],
                color=colour,
                marker="o",
                markersize=3,
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("workers")
        axes.set_ylabel("times as fast as one")
        axes.legend()

    title = f"{HOURS:,.0f} hours of video on a cluster (simulated)"
    path.write_bytes(plot_file(title, fill, path.suffix[1:], (7.2, 4.6)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--measure", action="store_true", help="measure the stages here")
    parser.add_argument("--validate", action="store_true", help="run `depthrt batch`, too")
    asked = parser.parse_args()
    before = dict(read_object(asked.output).content) if asked.output.exists() else {}
    content: dict[str, Any] = {key: before[key] for key in ("costs", "validation") if key in before}
    if asked.measure or "costs" not in content:
        from experiments.archives.stage_costs import measure

        content["costs"] = asdict(measure())
        write_result(asked.output, content)  # what took minutes is kept, whatever comes
    costs = Costs(**content["costs"])
    if asked.validate:
        from experiments.archives.real_runs import validate

        content["validation"] = validate(costs)
    found = simulate(costs)
    assumed = {
        "segment_s": SEGMENT_S,
        "mean_s": MEAN_S,
        "sigma": SIGMA,
        "store_bytes_per_s": STORE_BYTES_PER_S,
        "link_bytes_per_s": LINK_BYTES_PER_S,
        "gpu_infer_s": GPU_INFER_S,
        "gpu_decode_share": GPU_DECODE_SHARE,
        "seed": SEED,
        "hours": HOURS,
    }
    write_result(asked.output, {"assumed": assumed, **content, **found})
    if asked.figure is not None:
        draw(found["rows"], asked.figure)


if __name__ == "__main__":
    main()

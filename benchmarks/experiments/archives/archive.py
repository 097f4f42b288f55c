"""An archive of videos, and what no cluster is faster than with it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from experiments.archives.cluster_model import Cluster, Costs


def skewed_lengths(hours: float, mean_s: float, sigma: float, seed: int) -> list[float]:
    """Lengths of so many hours of videos in seconds, log-normal, a day at most.

    Args:
        hours: of all together.
        mean_s: of a video.
        sigma: of the logarithm: 0 gives equal lengths.
        seed: of the lengths.
    """
    source, left_s, found = random.Random(seed), 3600 * hours, []
    mu = math.log(mean_s) - sigma**2 / 2
    while left_s > 0:
        length_s = min(max(1.0, source.lognormvariate(mu, sigma)), 24 * 3600.0, left_s)
        found.append(length_s)
        left_s -= length_s
    return found


def bounds(
    lengths_s: Sequence[float], segment_s: float, costs: Costs, cluster: Cluster
) -> dict[str, float]:
    """What no schedule is below, in seconds: work, the longest video, the driver, the store."""
    total_s, longest_s = sum(lengths_s), max(lengths_s)
    tasks = sum(max(1, int(length / segment_s)) for length in lengths_s) + len(lengths_s)
    per_frame_s = costs.finish_s + costs.aside_s if cluster.runs_ahead else costs.frame_s
    chain_s = longest_s * (
        costs.fps * min(per_frame_s, costs.frame_s) + costs.join_s + costs.plan_s
    )
    chain_s += longest_s / segment_s * costs.task_s
    content = total_s * (costs.read_bytes + costs.write_bytes)
    return {
        "work": (total_s * costs.fps * costs.frame_s + tasks * costs.task_s) / cluster.workers,
        "longest_video": chain_s,
        "driver": tasks * costs.driver_s,
        "store": content / cluster.store_bytes_per_s,
    }

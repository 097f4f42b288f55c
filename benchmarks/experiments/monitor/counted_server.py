"""`depthrt serve` that counts nothing: what monitoring is compared with.

python -m experiments.monitor.counted_server bare [OPTIONS OF depthrt serve]
"""

from __future__ import annotations

import sys
from typing import Any

from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from depthrt.cli import main


def count_nothing() -> None:
    """Replace what counters and histograms do by nothing."""

    def itself(metric: Any, *labels: object) -> Any:
        return metric

    def nothing(metric: Any, amount: float = 1) -> None:
        return None

    replaced: list[tuple[Any, str, Any]] = [
        (MetricWrapperBase, "labels", itself),
        (Counter, "inc", nothing),
        (Histogram, "observe", nothing),
    ]
    for kind, name, function in replaced:
        setattr(kind, name, function)


if __name__ == "__main__":
    options = sys.argv[2:]
    if sys.argv[1] == "bare":
        count_nothing()
        options = [*options, "--no-drift"]
    sys.argv[1:] = ["serve", *options]
    main()

"""`depthrt serve` whose drift is judged in compressed time: ten samples a second, not two.

python -m experiments.monitor.quick_server LEARNED_SAMPLES [OPTIONS OF depthrt serve]
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from depthrt.cli import main
from depthrt.monitor import watches
from depthrt.monitor.watch import SAMPLE_S, WatchOptions
from depthrt_serving.monitoring import drift

QUICK_S = 0.1
"""Seconds between samples, in place of half a second."""


def quicken(learned: int) -> None:
    """Take samples five times as often, and learn from so many of them."""
    modules: Any = drift, watches
    modules[0].SAMPLE_S = QUICK_S
    modules[1].WatchOptions = partial(WatchOptions, learn_s=learned * SAMPLE_S)


if __name__ == "__main__":
    quicken(int(sys.argv[1]))
    sys.argv[1:] = ["serve", *sys.argv[2:]]
    main()

"""What does starting depthrt cost, over what it stands on?

Each command runs in a fresh process, in turn, round by round; medians of their ratios.

    python -m experiments.pipeline.startup -o benchmarks/results/startup.json
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from depthrt.model.catalogue.registry import find_model
from depthrt_benchmarks.common.environment import write_result

EVERY_NAME = "from depthrt import *"  # public names load their modules when they are first used
LIBRARIES = "import numpy, cv2, onnxruntime"
_SILENT = 'import os; os.environ["ORT_DISABLE_TELEMETRY"] = "1"'
FIRST_RUN = """
import numpy, onnxruntime
session = onnxruntime.InferenceSession({model!r}, providers=["CPUExecutionProvider"])
session.run(None, {{"image": numpy.zeros((1, 3, *session.get_inputs()[0].shape[2:]), "uint8")}})
"""
FIRST_DEPTH = """
import numpy, depthrt
depthrt.DepthModel.load({model!r}, provider="cpu")(numpy.zeros((360, 640, 3), "uint8"))
"""


def seconds(code: str) -> float:
    """Wall seconds of a fresh Python process that runs some code."""
    # As a user's process has it: bare onnxruntime reports to its maker, depthrt turns that off.
    variables = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=variables)
    return time.perf_counter() - start


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    model = str(find_model(None))
    codes = {
        "libraries": LIBRARIES,
        "import_depthrt": "import depthrt",
        "import_every_name": EVERY_NAME,
        "onnxruntime_first_run": FIRST_RUN.format(model=model),
        "onnxruntime_first_run_without_telemetry": _SILENT + FIRST_RUN.format(model=model),
        "depthrt_first_depth": FIRST_DEPTH.format(model=model),
    }
    for code in codes.values():
        seconds(code)  # fills the file cache
    rounds = [{name: seconds(code) for name, code in codes.items()} for _ in range(options.rounds)]

    def ratio(a: str, b: str) -> float:
        return round(statistics.median(row[a] / row[b] for row in rounds), 3)

    content = {
        "benchmark": "startup",
        "rounds": options.rounds,
        "median_s": {k: round(statistics.median(r[k] for r in rounds), 4) for k in codes},
        "import_depthrt_over_libraries": ratio("import_depthrt", "libraries"),
        "import_every_name_over_libraries": ratio("import_every_name", "libraries"),
        "first_depth_over_onnxruntime": ratio("depthrt_first_depth", "onnxruntime_first_run"),
        "first_depth_over_onnxruntime_without_telemetry": ratio(
            "depthrt_first_depth", "onnxruntime_first_run_without_telemetry"
        ),
    }
    print(content)  # noqa: T201
    if options.output:
        write_result(options.output, content)


if __name__ == "__main__":
    main()

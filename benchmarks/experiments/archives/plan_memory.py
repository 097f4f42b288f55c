"""Memory of the driver over 100,000 files, which are empty and so fail at once.

python -m experiments.archives.plan_memory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from depthrt_benchmarks.common.environment import write_result

RESULT = Path("benchmarks/results/archives_memory.json")


def main() -> None:
    """Run the batch and write the driver's highest memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        for number in range(options.files):
            if number % 1000 == 0:
                (folder / f"{number // 1000:03d}").mkdir(parents=True)
            (folder / f"{number // 1000:03d}" / f"clip{number:06d}.mp4").touch()
        command = [
            sys.executable, "-m", "depthrt", "batch", str(folder), "-o", f"{name}/out",
            "-m", "depthrt-xs", "--workers", "1", "--json",
        ]  # fmt: skip
        start_s, most_kb, failed = time.perf_counter(), 0, 0
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        for number, line in enumerate(driver.stdout):
            event = json.loads(line)["event"]
            failed += event == "failed"
            if number % 1000 == 0 or event == "summary":
                most_kb = max(most_kb, highest_kb(driver.pid))
        driver.wait()
        seconds = time.perf_counter() - start_s
    content = {
        "files": options.files,
        "reported": failed,
        "driver_mb": round(most_kb / 1000, 1),
        "seconds": round(seconds, 1),
    }
    write_result(options.result, content)
    sys.stderr.write(f"{json.dumps(content)}\n")


def highest_kb(pid: int) -> int:
    """The highest resident memory of a process so far; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()

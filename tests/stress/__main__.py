"""The command line of the stress run, and of its workers."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[0] = str(TESTS)  # `import stress`, and the helpers that all tests share

from stress.driver import drive  # noqa: E402
from stress.worker import work  # noqa: E402


def main() -> int:
    """Run the scenarios; 0 when none failed."""
    parser = argparse.ArgumentParser(prog="stress", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--only", help="names of scenarios, with commas; with it, --seed is theirs")
    parser.add_argument("--times", type=int, default=1, help="with --only: seeds from --seed on")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(json.loads(given.worker))
        return 0
    if given.list:
        from stress.scenarios import SCENARIOS

        for name, scenario in SCENARIOS.items():
            print(f"{name}: {scenario.purpose}")  # noqa: T201
        return 0
    only = given.only.split(",") if given.only else []
    report = drive(given.minutes, given.seed, only, given.times)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "failures"}))  # noqa: T201
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = main()
    sys.stdout.flush()
    os._exit(code) if "--worker" in sys.argv else sys.exit(code)

"""Plays random scenarios in processes of their own, and outlives whatever they do to them."""

from __future__ import annotations

import json
import os
import platform
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stress.case import SCENARIOS
from stress.kit import build
from stress.scripts import stacks

MAIN = Path(__file__).with_name("__main__.py")
_STEPS = 12  # scenarios that share a process
_START_S = 60.0
_MOST_GROWTH_MB = 400.0  # of a process from its first scenario to its last
_SEEDS = 1_000_000

Step = dict[str, Any]


class Tally:
    """What became of the scenarios."""

    def __init__(self) -> None:
        self.scenarios: dict[str, dict[str, Any]] = {}
        self.failures: list[dict[str, Any]] = []
        self.growth_mb = 0.0

    def add(self, step: Step, seconds: float, closes_s: list[float], failure: str | None) -> None:
        """Count one run."""
        known = self.scenarios.setdefault(
            step["name"], {"runs": 0, "failures": 0, "worst_s": 0.0, "worst_close_s": 0.0}
        )
        known["runs"] += 1
        known["worst_s"] = max(known["worst_s"], seconds)
        known["worst_close_s"] = max([known["worst_close_s"], *closes_s])
        mark = "ok" if failure is None else f"FAILED: {failure}"
        print(f"{step['name']} --seed {step['seed']}: {seconds:.1f} s {mark}", file=sys.stderr)  # noqa: T201
        if failure is not None:
            known["failures"] += 1
            self.failures.append({**step, "failure": failure})


def drive(minutes: float, seed: int, only: list[str], times: int) -> dict[str, Any]:
    """Play scenarios until the time is up; the report."""
    import stress.scenarios  # noqa: F401

    unknown = [name for name in only if name not in SCENARIOS]
    if unknown:
        raise SystemExit(f"stress: no scenario {', '.join(unknown)} (see --list)")
    start_s = time.monotonic()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="stress-", ignore_cleanup_errors=True) as root:
        kit = Path(root) / "kit"
        kit.mkdir()
        build(kit)
        end_s = start_s + 60 * minutes
        for number, steps in enumerate(_plans(seed, only, times)):
            folder = Path(root) / f"worker{number}"
            folder.mkdir()
            _Worker(kit, folder, tally).play(steps, end_s if not only else float("inf"))
            shutil.rmtree(folder, ignore_errors=True)
            if not only and time.monotonic() >= end_s:
                break
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - start_s, 1),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "runs": sum(known["runs"] for known in tally.scenarios.values()),
        "failed": len(tally.failures),
        "worst_close_s": max([0.0, *(s["worst_close_s"] for s in tally.scenarios.values())]),
        "worst_growth_mb": round(tally.growth_mb, 1),
        "scenarios": dict(sorted(tally.scenarios.items())),
        "failures": tally.failures,
    }


def _plans(seed: int, only: list[str], times: int) -> Iterator[list[Step]]:
    """Scenarios in random order, a few for each process; every one once before any comes again."""
    if only:
        for name in only:
            for number in range(seed, seed + times):
                yield [{"name": name, "seed": number}]
        return
    rng, number = random.Random(seed), seed * _SEEDS
    while True:
        names = [name for name, found in SCENARIOS.items() for _ in range(found.weight)]
        rng.shuffle(names)
        steps = [{"name": name, "seed": number + k} for k, name in enumerate(names)]
        number += len(steps)
        for begin in range(0, len(steps), _STEPS):
            yield steps[begin : begin + _STEPS]


class _Worker:
    """One process that plays scenarios."""

    def __init__(self, kit: Path, folder: Path, tally: Tally) -> None:
        self._kit, self._folder, self._tally = kit, folder, tally

    def play(self, steps: list[Step], end_s: float) -> None:
        """Play the steps; after a failure or a hang the rest goes to a fresh process."""
        while steps and time.monotonic() < end_s:
            done = self._run(steps, end_s)
            steps = steps[done:]

    def _run(self, steps: list[Step], end_s: float) -> int:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        scratch = Path(tempfile.mkdtemp(dir=self._folder, prefix="tmp"))
        plan = {"kit": str(self._kit), "folder": str(folder), "steps": steps}
        stderr = (self._folder / "stderr").open("w+")
        worker = subprocess.Popen(
            [sys.executable, str(MAIN), "--worker", json.dumps(plan)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(self._folder)},
        )
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(worker, lines), daemon=True).start()
        try:
            return self._follow(worker, lines, stderr, steps, end_s)
        finally:
            worker.kill()
            worker.wait()
            stderr.close()

    def _follow(
        self,
        worker: subprocess.Popen[str],
        lines: Any,
        stderr: Any,
        steps: list[Step],
        end_s: float,
    ) -> int:
        step, begun_s, limit_s, first_mb = steps[0], time.monotonic(), _START_S, 0.0
        for done in range(len(steps) + 1):
            while True:
                try:
                    line = lines.get(timeout=max(0.0, begun_s + limit_s - time.monotonic()))
                except queue.Empty:
                    self._tally.add(step, limit_s, [], f"hangs: {_stacks(worker, stderr)}")
                    return done + 1
                if line is None:
                    if done == len(steps):
                        return done
                    code = worker.wait()
                    self._tally.add(step, 0.0, [], f"killed its process ({code}): {_tail(stderr)}")
                    return done + 1
                told = json.loads(line)
                if "begin" in told:
                    step, begun_s = told["begin"], time.monotonic()
                    limit_s = SCENARIOS[step["name"]].limit_s + 15
                    continue
                if "ready" in told:
                    first_mb = told["rss_mb"]
                    continue
                break
            growth_mb = told["rss_mb"] - first_mb
            self._tally.growth_mb = max(self._tally.growth_mb, growth_mb)
            failure = told["failure"]
            if failure is None and growth_mb > _MOST_GROWTH_MB:
                failure = f"the process grew by {growth_mb:.0f} MB"
            self._tally.add(step, told["seconds"], told["closes_s"], failure)
            if failure is not None or done + 1 == len(steps) or time.monotonic() >= end_s:
                return done + 1
        return len(steps)


def _read(worker: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("{"):
            lines.put(line)
    lines.put(None)


def _stacks(worker: subprocess.Popen[str], stderr: Any) -> str:
    """Where the threads of a process that hangs are."""
    worker.send_signal(signal.SIGUSR1)
    time.sleep(0.5)
    stderr.seek(0)
    return stacks(stderr.read())


def _tail(stderr: Any) -> str:
    stderr.seek(0)
    return str(stderr.read())[-3000:]

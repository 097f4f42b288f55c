"""Workers, drivers and nodes are killed at random; outputs must be those of an undisturbed run.

Each trial has a cut, a number of workers, options and a plan of kills of its own. A kill comes
after a random event of the run. A driver that was killed is started again by the same command. The
clips are pictures of the demo clip, over and over.

    python -m experiments.archives.faults --trials 30
    python -m experiments.archives.faults --trials 30 --engine ray
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthrt_benchmarks.common.environment import write_result
from experiments.archives.clips import encode, facts
from experiments.archives.ray_nodes import Nodes, kill_actor

RESULT = Path("benchmarks/results")
CLIPS = {"long": (150, 19), "middle": (70, 11), "short": (30, 250)}  # frames, frames of a group
FORMS = ("mp4", "npz", "mkv", "png")
MODES = ((), ("--keyframes", "2%"), ("--stabilise",), ("--keyframes", "2%", "--stabilise"))
_LIVES = 12  # of the driver in a trial, at most


@dataclass
class Trial:
    """What a trial was, and what came of it."""

    seed: int
    engine: str
    form: str
    segment_s: float
    workers: int
    options: tuple[str, ...] = ()
    kills: dict[str, int] = field(default_factory=dict)
    identical: bool = False
    lost: int = 0
    doubled: int = 0
    tasks_again: int = 0
    tasks_again_allowed: int = 0
    left_behind: int = 0
    drivers_failed: int = 0  # that nobody killed
    seconds: float = 0.0


def children(pid: int) -> list[int]:
    """The worker processes of a local driver."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [
            int(each)
            for each in found
            if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
        ]
    except OSError:
        return []


def run_trial(trial: Trial, folder: Path, model: str, want: dict[str, Any], nodes: Any) -> Trial:
    """Run one trial to its end."""
    chance = random.Random(trial.seed)
    out = folder / f"out-{trial.seed}"
    command = [
        sys.executable, "-m", "depthrt", "batch", str(folder / "clips"), "-o", str(out), "-m",
        model, "--format", trial.form, "--segment", f"{trial.segment_s:.2f}", "--workers",
        str(trial.workers), "--retries", "99", "--json", "--engine", trial.engine, *trial.options,
    ]  # fmt: skip
    if nodes is not None:
        command += ["--address", nodes.address]
    start_s, tasks, code = time.perf_counter(), list[tuple[str, str, int]](), 1
    for life in range(_LIVES):
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        # The first lives are disturbed; the last ones are left in peace, or no trial would end.
        plan = chance.choices(_kinds(trial), k=2) if life < 2 else []
        after = chance.randint(1, 3)
        for line in driver.stdout:
            if not line.startswith("{"):
                sys.stderr.write(line)  # Ray's own
                continue
            event = json.loads(line)
            if event["event"] == "task":
                tasks.append((event["kind"], event["source"], event["segment"]))
            after -= event["event"] in ("segment", "done", "ready")
            if plan and after <= 0:
                time.sleep(chance.random() * 0.5)  # somewhere in the middle of what comes next
                kind, after = plan.pop(), chance.randint(1, 3)
                trial.kills[kind] = trial.kills.get(kind, 0) + 1
                kill(kind, driver, nodes, chance)
        code = driver.wait()
        if code == 0:
            break
        trial.drivers_failed += code != -signal.SIGKILL
    trial.seconds = round(time.perf_counter() - start_s, 1)
    suffix = "" if trial.form == "png" else f".{trial.form}"
    made = {name: out / f"{name}_depth{suffix}" for name in CLIPS}
    trial.lost = sum(not path.exists() for path in made.values())
    trial.identical = not trial.lost and all(facts(p) == want[n] for n, p in made.items())
    listed = [json.loads(t) for t in (out / "manifest.jsonl").read_text().splitlines()[1:]]
    trial.doubled = len(listed) - len({each["output"] for each in listed})
    trial.lost += len(CLIPS) - len({each["output"] for each in listed})
    split = {task[1] for task in tasks if task[0] != "start"}
    # To begin with a video that is cut is no work: its segments are tasks of their own.
    counted = [task for task in tasks if task[0] != "start" or task[1] not in split]
    trial.tasks_again = len(counted) - len(set(counted))
    trial.tasks_again_allowed = sum(
        n * (1 if kind == "worker" else trial.workers) for kind, n in trial.kills.items()
    )
    names = {path.name for path in out.iterdir()} - {".depthrt-batch", "manifest.jsonl"}
    trial.left_behind = len(names - {path.name for path in made.values()})
    shutil.rmtree(out)
    return trial


def _kinds(trial: Trial) -> list[str]:
    return ["worker", "worker", "driver", *(["node"] if trial.engine == "ray" else [])]


def kill(kind: str, driver: subprocess.Popen[str], nodes: Any, chance: random.Random) -> None:
    """Kill what a plan says."""
    if kind == "driver":
        driver.kill()
    elif kind == "node":
        nodes.kill_one(chance)
    elif nodes is not None:
        kill_actor(chance)
    elif found := children(driver.pid):
        os.kill(chance.choice(found), signal.SIGKILL)


def main() -> None:
    """Run the trials and write what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--model", default="depthrt-xs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clips").mkdir()
        for clip, (count, gop) in CLIPS.items():
            encode(folder / "clips" / f"{clip}.mp4", count, gop=gop, size=(320, 180))
        wanted: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
        nodes = Nodes(2) if options.engine == "ray" else None
        try:
            for seed in range(options.seed, options.seed + options.trials):
                chance = random.Random(-seed)
                trial = Trial(
                    seed, options.engine, FORMS[seed % len(FORMS)],
                    round(chance.uniform(0.4, 3.0), 2), chance.randint(1, 3),
                    chance.choice(MODES),
                )  # fmt: skip
                if nodes is not None:
                    trial.workers = min(trial.workers, 2)
                key = trial.form, trial.options
                if key not in wanted:
                    wanted[key] = undisturbed(folder, *key, options.model)
                trials.append(run_trial(trial, folder, options.model, wanted[key], nodes))
                sys.stderr.write(f"{trials[-1]}\n")
        finally:
            if nodes is not None:
                nodes.close()
    result = options.result or RESULT / f"archives_faults_{options.engine}.json"
    write_result(result, {"summary": summary(trials), "trials": [vars(t) for t in trials]})
    sys.stderr.write(f"{json.dumps(summary(trials))}\n")


def undisturbed(folder: Path, form: str, more: tuple[str, ...], model: str) -> dict[str, Any]:
    """What `depthrt run` makes of each clip."""
    found = {}
    for clip in CLIPS:
        name = f"plain-{clip}{''.join(more)}".replace("%", "")
        target = folder / (name if form == "png" else f"{name}.{form}")
        command = [
            sys.executable, "-m", "depthrt", "run", str(folder / "clips" / f"{clip}.mp4"),
            "-o", str(target), "-m", model, *more,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        found[clip] = facts(target)
    return found


def summary(trials: list[Trial]) -> dict[str, Any]:
    """The figures of all trials."""
    kinds = sorted({kind for trial in trials for kind in trial.kills})
    return {
        "trials": len(trials),
        "with_keyframes": sum("--keyframes" in trial.options for trial in trials),
        "identical": sum(trial.identical for trial in trials),
        "lost": sum(trial.lost for trial in trials),
        "doubled": sum(trial.doubled for trial in trials),
        "left_behind": sum(trial.left_behind for trial in trials),
        "drivers_failed": sum(trial.drivers_failed for trial in trials),
        "kills": {kind: sum(trial.kills.get(kind, 0) for trial in trials) for kind in kinds},
        "segments_done_again": sum(trial.tasks_again for trial in trials),
        "trials_with_more_than_one_a_worker_and_kill": sum(
            trial.tasks_again > trial.tasks_again_allowed for trial in trials
        ),
    }


if __name__ == "__main__":
    main()

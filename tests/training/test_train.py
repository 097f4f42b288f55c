"""The training recipe, on pictures that the test draws."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.recipes import QUICK, TRAINING

CONFIG = (
    QUICK
    + """
sources = { photographs = 0.5, rendered_indoor = 0.5 }
perturbation = { distorted = 0.3, covered = 0.2 }
stages = [
  { images = 5000, batch = 8, sizes = [[64, 96], [96, 64]], full = false },
  { images = 500, batch = 8, sizes = [[64, 96]], full = true },
  { images = 500, batch = 8, sizes = [[64, 96]], full = true, weight_bits = 7 },
]
"""
)

START = """
import sys
from pathlib import Path
import torch
from depthrt_training.model.network import depthrt_s
from depthrt_training.model.weights_file import save_weights
torch.manual_seed(0)
save_weights(Path(sys.argv[1]), depthrt_s().state_dict(), {})
"""


def draw_cache(folder: Path, count: int = 40) -> None:
    """Discs on a floor: the lower and the brighter, the nearer."""
    rng = np.random.default_rng(0)
    for source in ("photographs", "rendered_indoor"):
        arrays: dict[str, np.ndarray] = {}
        for i in range(count):
            target = np.repeat(np.linspace(0.5, 3, 96, dtype=np.float32)[:, None], 144, axis=1)
            for _ in range(4):
                x, y = int(rng.integers(144)), int(rng.integers(96))
                cv2.circle(target, (x, y), int(rng.integers(8, 24)), rng.uniform(2, 5))
                cv2.circle(target, (x, y), int(rng.integers(8, 24)), rng.uniform(2, 5), -1)
            grey = 40 * target[..., None] + rng.normal(0, 4, (96, 144, 3))
            arrays[f"{i:05d}.image"] = np.clip(grey, 0, 255).astype(np.uint8)
            arrays[f"{i:05d}.target"] = target.astype(np.float16)
            arrays[f"{i:05d}.valid"] = target < 4.5
            arrays[f"{i:05d}.horizon"] = np.float32(np.nan if source == "photographs" else 0)
        np.savez(folder / f"{source}.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_quick_run_improves_on_its_start_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    (tmp_path / "cache").mkdir()
    draw_cache(tmp_path / "cache")
    (tmp_path / "config.toml").write_text(CONFIG)
    start = tmp_path / "start.safetensors"
    # One thread: on busy cores more of them wait for one another.
    environment = {"PYTHONPATH": str(TRAINING), "PATH": "", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", START, str(start)], check=True, env=environment)
    command = [sys.executable, "-m", "depthrt_training.train", "--quick", "--start", str(start)]
    command += ["--work", str(tmp_path), "--config", str(tmp_path / "config.toml")]

    subprocess.run(command, check=True, env=environment, capture_output=True)

    log = tmp_path / "depthrt-s-quick" / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0]["step"] == 0
    assert lines[-1]["step"] == lines[-1]["steps"] == 60
    assert lines[-1]["score"] < 0.8 * lines[0]["score"]
    assert (tmp_path / "depthrt-s-quick" / "best.safetensors").exists()
    judge = [sys.executable, "-m", "depthrt_training.evaluation.held_out", str(start)]
    judge += [str(tmp_path / "depthrt-s-quick" / "best.safetensors"), "--work", str(tmp_path)]
    judged = subprocess.run(judge, check=True, env=environment, capture_output=True, text=True)
    means = [float(line.split()[-1]) for line in judged.stdout.splitlines() if "AbsRel" in line]
    assert len(means) == 2
    assert means[1] < 0.8 * means[0], judged.stdout
    assert "photographs" not in judged.stdout, "labels of networks choose nothing"
    again = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert again.stdout.endswith("finished already; name another --run to train anew\n")
    assert len(again.stdout.splitlines()) == 1, "a finished run has nothing left to do"

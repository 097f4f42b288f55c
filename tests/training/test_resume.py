"""Which runs are resumed, and which are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.recipes import QUICK

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")
CONFIG = (
    QUICK
    + """
sources = { photographs = 1.0 }
stages = [{ images = 80, batch = 8, sizes = [[64, 96]], full = false }]
"""
)


class Run:
    """A run folder with a finished checkpoint, and `train.py` in this process."""

    def __init__(
        self, work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.work, self._monkeypatch, self._capsys = work, monkeypatch, capsys
        self.config, self.start = work / "config.toml", work / "start.safetensors"
        self.config.write_text(CONFIG)
        self.write_weights(self.start, 0)
        self.checkpoint = work / "own" / "last.pt"
        self.checkpoint.parent.mkdir()

    @staticmethod
    def write_weights(file: Path, seed: int) -> None:
        from depthrt_training.model.network import depthrt_s
        from depthrt_training.model.weights_file import save_weights

        torch.manual_seed(seed)
        save_weights(file, depthrt_s().state_dict(), {})

    def finish(self) -> None:
        from depthrt_training.config import read_config
        from depthrt_training.trainer import Trainer

        trainer = Trainer(read_config(self.config), self.checkpoint.parent, self.start)
        trainer.step = trainer.config.steps
        trainer.save()

    def __call__(self, config: Path, start: Path | None) -> tuple[int, str, str]:
        from depthrt_training import train

        given = ["train.py", "--work", str(self.work), "--run", "own", "--config", str(config)]
        given += [] if start is None else ["--start", str(start)]
        self._monkeypatch.setattr(sys, "argv", given)
        self._monkeypatch.setattr(train, "keep_memory", lambda: None)
        self._monkeypatch.setattr(cv2, "setNumThreads", lambda count: None)
        code = 0
        try:
            train.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    run = Run(tmp_path, monkeypatch, capsys)
    run.finish()
    return run


def test_a_finished_run_says_so(run: Run) -> None:
    said = f"{run.work / 'own'}: finished already; name another --run to train anew\n"
    assert run(run.config, run.start) == (0, said, "")
    copied = run.work / "copy.toml"
    copied.write_text("# the same, and a comment\n" + CONFIG)
    assert run(copied, run.start) == (0, said, "")


def test_another_configuration_is_refused(run: Run) -> None:
    other = run.work / "other.toml"
    other.write_text(CONFIG.replace("seed = 1", "seed = 2"))
    code, out, err = run(other, run.start)
    assert (code, out) == (2, "")
    what = "holds a run of other configuration: name another --run"
    assert err == f"train.py: {run.work / 'own'} {what}\n"


def test_other_start_weights_are_refused(run: Run) -> None:
    other = run.work / "other.safetensors"
    run.write_weights(other, 1)
    code, out, err = run(run.config, other)
    assert (code, out) == (2, "")
    assert "holds a run of other start weights: name another --run" in err


def test_a_lengthened_run_goes_on(run: Run) -> None:
    longer = run.work / "longer.toml"
    longer.write_text(CONFIG.replace("images = 80", "images = 160"))
    with pytest.raises(FileNotFoundError, match=r"photographs\.npz is missing"):
        run(longer, run.start)  # past the checks: only the cache is wanting


def test_a_checkpoint_without_origin_is_resumed(run: Run) -> None:
    state = torch.load(run.checkpoint, weights_only=True)
    del state["origin"]
    torch.save(state, run.checkpoint)
    other = run.work / "other.toml"
    other.write_text(CONFIG.replace("seed = 1", "seed = 2"))
    code, out, err = run(other, run.start)
    assert (code, err) == (0, "")
    assert "finished already" in out


def test_pictures_without_labels_need_an_ensemble(run: Run) -> None:
    longer = run.work / "longer.toml"
    longer.write_text(CONFIG.replace("images = 80", "images = 160"))
    arrays = {}
    for i in range(10):
        arrays[f"{i:05d}.image"] = np.zeros((64, 96, 3), np.uint8)
        arrays[f"{i:05d}.target"] = np.zeros((64, 96), np.float16)
        arrays[f"{i:05d}.valid"] = np.zeros((64, 96), np.bool_)
        arrays[f"{i:05d}.horizon"] = np.float32(np.nan)
    (run.work / "cache").mkdir()
    np.savez(run.work / "cache/photographs.npz", **arrays)  # type: ignore[arg-type]
    code, out, err = run(longer, run.start)
    assert (code, out) == (2, "")
    assert err == "train.py: photographs has no labels: they need a [teacher_ensemble]\n"


def test_an_ensemble_must_be_named(run: Run) -> None:
    taught = run.work / "taught.toml"
    taught.write_text(CONFIG + "teacher_ensemble = { teacher_share = 0.5 }\n")
    code, _, err = run(taught, run.start)
    assert code == 2
    assert "the configuration has a [teacher_ensemble]: name its weights by --ensemble" in err

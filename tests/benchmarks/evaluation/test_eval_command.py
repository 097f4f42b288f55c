"""`depthrt eval` as a user runs it, on sets that the tiny model sees exactly, or nearly."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from depthrt.spec import InputSpec, ModelSpec
from depthrt_benchmarks.common.report import mlflow_log
from depthrt_benchmarks.evaluation.scoring import evaluate as running
from depthrt_benchmarks.evaluation.scoring import sequences
from depthrt_benchmarks.evaluation.scoring.resume_file import resume_folder
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import Clip, write_clip
from helpers.files.labelled import (
    exact_depth_m,
    grey_picture,
    write_picture,
    write_png16,
    write_set,
)
from helpers.models.small_model import SIZE, build_model


def test_a_set_that_the_model_sees_exactly(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    done = command("eval", model_path, folder, "--json")
    assert done.code == 0, done.err
    (found,) = done.document["evaluations"]
    assert (found["dataset"], found["layout"], found["images"]) == ("desk", "dataset-json", 6)
    assert found["metrics"]["abs_rel"]["value"] < 2e-4  # 0.05 mm of rounding in the PNG
    assert found["metrics"]["delta1"]["value"] == 1.0
    for word in ("disparity-lsq;", "no crop", "0.1 < truth < 6 m", "half-pixel"):
        assert word in found["protocol"]
    assert found["warnings"] == []
    assert {"machine", "versions", "commit", "interval"} <= done.document.keys()
    assert done.err == ""
    assert list(resume_folder().glob("*")) == []


def test_figures_of_a_known_error(command: Command, model_path: Path, tmp_path: Path) -> None:
    """With `--align none` and a metric model, every figure follows from the truth alone."""
    spec = ModelSpec("ruler", "depth", InputSpec(*SIZE), unit="m")
    metric = build_model(tmp_path / "ruler.onnx", spec=spec, gain=0.01)
    values = 0.01 * 0.875 * grey_picture(0)[..., 0].astype(np.float64)  # what it gives, in m
    write_picture(tmp_path / "pairs/rgb/1.png", grey_picture(0))
    (tmp_path / "pairs/depth").mkdir()
    np.save(tmp_path / "pairs/depth/1.npy", (values / 1.2).astype(np.float32))
    done = command("eval", metric, tmp_path / "pairs", "--json")
    (found,) = done.document["evaluations"]
    assert found["protocol"].startswith("none;")
    metrics = {key: mean["value"] for key, mean in found["metrics"].items()}
    assert metrics["abs_rel"] == pytest.approx(0.2, rel=1e-4)
    assert metrics["rmse_log"] == pytest.approx(math.log(1.2), rel=1e-4)
    assert metrics["silog"] == pytest.approx(0, abs=1e-2)
    assert metrics["delta1"] == 1.0
    again = command("eval", metric, tmp_path / "pairs", "--align", "median", "--json")
    (found,) = again.document["evaluations"]
    assert found["metrics"]["abs_rel"]["value"] == pytest.approx(0, abs=1e-5)
    assert found["scale_spread"] == 0.0
    flipped = command("eval", metric, tmp_path / "pairs", "--flip", "--json").document
    assert flipped["evaluations"][0]["metrics"]["abs_rel"]["value"] == pytest.approx(0.2, rel=1e-4)
    assert "mirrored" in flipped["evaluations"][0]["protocol"]


def test_files_and_what_they_say(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 9, wrong=0.1)
    page, table, result = (tmp_path / name for name in ("r.html", "r.csv", "r.json"))
    done = command(
        "eval", model_path, folder, "--report", page, "--csv", table, "-o", result
    )  # fmt: skip
    assert done.code == 0, done.err
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["image"] for line in lines] == [f"{n:06d}" for n in range(9)]
    errors = [float(line["abs_rel"]) for line in lines]
    assert errors == sorted(errors)  # the set is more and more wrong
    content = json.loads(result.read_text())
    (found,) = content["evaluations"]
    assert found["worst"][0]["image"] == "000008"
    assert found["metrics"]["abs_rel"]["value"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert [r["name"] for r in found["ranges"]] == ["0.5-1 m", "1-2 m"]
    assert sum(r["share"] for r in found["ranges"]) == pytest.approx(1)
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 4 * 6  # four panels; 4 worst, median, best
    assert "worst: 000008" in html
    assert "{{" not in html
    assert "http" not in html.replace("http://www.w3.org", "")
    assert str(tmp_path) not in result.read_text() + html
    refused = command("eval", model_path, folder, "-o", result)
    assert refused.code == 2
    assert "--overwrite" in refused.complaint


def test_two_models_are_compared_image_by_image(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk")
    spec = ModelSpec("reversed", "depth", InputSpec(*SIZE))  # near and far the wrong way round
    other = build_model(tmp_path / "reversed.onnx", spec=spec)
    done = command("eval", model_path, folder, "--compare", other, "--json")
    assert done.code == 0, done.err
    (comparison,) = done.document["comparisons"]
    assert (comparison["first"], comparison["second"]) == ("tiny float32", "reversed float32")
    (abs_rel, *_) = comparison["differences"]
    assert (abs_rel["metric"], abs_rel["images"], abs_rel["better"]) == ("abs_rel", 6, "first")
    assert 0 < abs_rel["low"] <= abs_rel["value"] <= abs_rel["high"]
    assert "turned near and far round in 6 of 6 images" in done.err
    assert "not the same protocol (disparity-lsq and depth-lsq)" in done.err
    table = tmp_path / "tiny.csv"
    assert command("eval", model_path, folder, "--csv", table).code == 0
    same = command("eval", model_path, folder, "--compare", table, "--json").document
    assert {d["value"] for d in same["comparisons"][0]["differences"]} == {0.0}
    later = command("eval", other, folder, "--compare", table, "--json").document
    assert later["comparisons"][0]["second"] == "tiny float32"
    again = later["comparisons"][0]["differences"][0]
    assert (again["better"], again["value"]) == ("second", pytest.approx(-abs_rel["value"]))


def test_the_same_model_twice_is_no_different(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "desk", wrong=0.1)
    found = command("eval", model_path, folder, "--compare", model_path, "--json").document
    assert {d["better"] for d in found["comparisons"][0]["differences"]} == {"cannot tell"}


CAMERA = {"fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, "width": 64, "height": 48}


def still_sequence(folder: Path, scales: list[float]) -> Path:
    """The same picture from the same place; its depth times these numbers, one for each frame."""
    write_set(folder, len(scales), fps=10, intrinsics=CAMERA)
    lines = ["# frame tx ty tz qx qy qz qw"]
    for number, scale in enumerate(scales):
        picture = grey_picture(0)
        write_picture(folder / f"rgb/{number:06d}.png", picture)
        codes = np.rint(exact_depth_m(picture) * scale * 1e4).astype(np.uint16)
        write_png16(folder / f"depth/{number:06d}.png", codes)
        lines.append(f"{number:06d} 0 0 0 0 0 0 1")
    (folder / "poses.txt").write_text("\n".join(lines))
    return folder


def test_video_figures_of_a_sequence_that_stands_still(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = still_sequence(tmp_path / "still", [1.0, 1.0, 1.0])
    (found,) = command("eval", model_path, folder, "--json").document["evaluations"]
    assert found["video"]["flicker"] == {
        "median": 0.0, "p95": 0.0, "median_of_spread": 0.0, "pairs": 2,
    }  # fmt: skip
    assert found["video"]["tae_percent"]["still"] == pytest.approx(0, abs=1e-4)
    without = command("eval", model_path, folder, "--no-video", "--json").document
    assert "video" not in without["evaluations"][0]


def test_one_fit_for_a_whole_sequence(command: Command, model_path: Path, tmp_path: Path) -> None:
    """Truth that breathes: a fit an image follows it, one for the sequence does not."""
    folder = still_sequence(tmp_path / "still", [0.8, 1.25])
    (each,) = command("eval", model_path, folder, "--json").document["evaluations"]
    assert each["metrics"]["abs_rel"]["value"] < 1e-3
    said = ("--align", "sequence-disparity-lsq")
    (whole,) = command("eval", model_path, folder, *said, "--json").document["evaluations"]
    # The mean of 1/0.8 and 1/1.25 is 1.025, so depth comes out as 1/1.025 of the unscaled one.
    expected = (abs(1 / 1.025 / 0.8 - 1) + abs(1 / 1.025 / 1.25 - 1)) / 2
    assert whole["metrics"]["abs_rel"]["value"] == pytest.approx(expected, rel=1e-3)
    refused = command("eval", model_path, write_set(tmp_path / "desk"), *said)
    assert refused.code == 2
    assert "needs frames of a video" in refused.complaint


def test_a_clip_has_flicker_alone(command: Command, model_path: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=6))
    done = command("eval", model_path, clip, "--json", "--max-images", 5)
    assert done.code == 0, done.err
    assert done.document["evaluations"] == []
    (found,) = done.document["clips"]
    assert (found["clip"], found["frames"], found["flicker"]["pairs"]) == ("clip.mp4", 5, 4)
    assert 0 <= found["flicker"]["median"] < 0.1
    assert "optical flow" in found["protocol"]
    shown = command("eval", model_path, clip)
    assert "clip.mp4: tiny float32: flicker" in shown.out


def test_max_images(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 9)
    table = tmp_path / "t.csv"
    done = command("eval", model_path, folder, "--max-images", 3, "--csv", table)
    assert "3 of 9 images (evenly spread)" in done.err
    assert [line.split(",")[2] for line in table.read_text().splitlines()[1:]] == [
        "000000", "000004", "000008",
    ]  # fmt: skip
    assert command("eval", model_path, folder, "--max-images", 0).code == 2


def test_the_gate(command: Command, model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", wrong=0.2)
    assert command("eval", model_path, folder, "--max-abs-rel", 0.9).code == 0
    done = command("eval", model_path, folder, "--max-abs-rel", 0.001)
    assert done.code == 3
    assert "more than the 0.001 allowed" in done.complaint
    assert "AbsRel" in done.out  # the figures are shown all the same


def test_an_interrupted_evaluation_goes_on(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = still_sequence(tmp_path / "still", [1.0, 1.1, 1.2, 1.3])
    whole = command("eval", model_path, folder, "--json").document["evaluations"]
    score, seen = running.score, []

    def stopping(name: str, *rest: object) -> object:
        seen.append(name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return score(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "score", stopping)
    done = command("eval", model_path, folder, "--json")
    assert done.code == 130
    assert "it goes on from there" in done.complaint
    assert done.out == ""
    (journal,) = resume_folder().glob("*.jsonl")
    assert len(journal.read_text().splitlines()) == 2
    with journal.open("a") as file:
        file.write('["image 000002", {"na')  # the line it was cut off in
    seen.extend("...")
    again = command("eval", model_path, folder, "--json").document["evaluations"]
    assert seen[3 + 3 :] == ["000002", "000003"]
    assert again == whole
    assert list(resume_folder().glob("*")) == []


def test_a_second_pass_that_was_interrupted_goes_on(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = still_sequence(tmp_path / "still", [1.0, 1.1, 1.2, 1.3])
    whole = command("eval", model_path, folder, "--json").document["evaluations"]
    error, calls = sequences.reprojection_error, []

    def stopping(*rest: object) -> float:
        calls.append(len(rest))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return error(*rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sequences, "reprojection_error", stopping)
    assert command("eval", model_path, folder, "--json").code == 130
    again = command("eval", model_path, folder, "--json").document["evaluations"]
    assert len(calls) == 2 + 1 + 4  # both directions of the pairs that were left
    assert again == whole


def test_control_c_keeps_what_was_done(model_path: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "desk", 400)
    process = spawn("eval", model_path, folder, "--threads", 1)
    end = time.monotonic() + 60
    while not list(resume_folder().glob("*.jsonl")) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    done = outcome(process)
    (journal,) = resume_folder().glob("*.jsonl")
    kept = len(journal.read_text().splitlines())
    assert done.code == 130, done.err
    assert done.complaint.startswith("interrupted; what was measured is kept")
    assert 0 < kept < 400


def test_another_protocol_or_file_is_not_resumed(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_set(tmp_path / "desk", 3)
    calls: list[str] = []
    score = running.score

    def counting(name: str, *rest: object) -> object:
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return score(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "score", counting)
    assert command("eval", model_path, folder).code == 130
    assert command("eval", model_path, folder, "--max-depth", 3).code == 0
    assert len(calls) == 6
    write_picture(folder / "rgb/000001.png", grey_picture(2))
    assert command("eval", model_path, folder).code == 0
    assert len(calls) == 9


def test_help_names_every_layout_and_crop(command: Command) -> None:
    from depthrt_benchmarks.evaluation.datasets.open import LAYOUTS
    from depthrt_benchmarks.evaluation.protocol.crops import CUT, MASKS

    text = command("eval", "--help").out
    words = "".join(c if c.isalnum() or c in "-_" else " " for c in text).split()
    for name in (*LAYOUTS, *MASKS, CUT):
        assert name in words


def test_what_is_logged(
    command: Command, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow itself is not asked here: it takes half a minute."""
    runs: list[tuple[str, mlflow_log.Run]] = []
    monkeypatch.setattr(mlflow_log, "log", lambda target, run: runs.append((target, run)))
    folder, page = write_set(tmp_path / "desk", fps=10), tmp_path / "r.html"
    done = command("eval", model_path, folder, "--track", tmp_path, "--report", page, "--json")
    assert done.code == 0, done.err
    ((target, run),) = runs
    assert (target, run.kind, run.name, run.model) == (
        str(tmp_path), "eval", "tiny float32", model_path,
    )  # fmt: skip
    found = done.document["evaluations"][0]
    assert run.metrics["desk/abs_rel"] == found["metrics"]["abs_rel"]["value"]
    assert run.metrics["desk/flicker_median"] == found["video"]["flicker"]["median"]
    assert run.parameters["protocol"]["desk"] == found["protocol"]
    assert run.files == (page,)
    assert run.documents["eval.json"]["evaluations"] == done.document["evaluations"]

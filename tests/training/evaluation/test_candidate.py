"""What judges a candidate for the released weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")

CANDIDATE, TODAY, TEACHER = "candidate", "today", "tcmonodepth-small"


def a_set(folder: Path, depths_m: list[NDArray[np.float64]]) -> Path:
    """A labelled set; the picture of depth d shows 255 / d as grey."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for number, depth_m in enumerate(depths_m):
        grey = np.repeat((255 / depth_m).astype(np.uint8)[..., None], 3, axis=2)
        cv2.imwrite(str(folder / "rgb" / f"{number:06d}.jpg"), grey)
        raw = (1000 * depth_m).astype(np.uint16)
        cv2.imwrite(str(folder / "depth" / f"{number:06d}.png"), raw)
    spec = {"depth_unit_m": 0.001, "min_depth_m": 0.5, "max_depth_m": 10.0, "invalid": [0]}
    (folder / "dataset.json").write_text(json.dumps(spec))
    return folder


def ramp(near_m: float, far_m: float) -> NDArray[np.float64]:
    return np.tile(np.linspace(near_m, far_m, 64), (48, 1))


def right(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return rgb[..., 0].astype(np.float32)


def turned(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return 255 - rgb[..., 0].astype(np.float32)


def figures(folder: Path) -> Any:
    from depthrt_training.evaluation.candidate.sets import measure

    return measure(folder, {CANDIDATE: turned, TODAY: right, TEACHER: right})


def test_a_network_that_turns_near_and_far_round_is_caught_though_its_error_is_small(
    tmp_path: Path,
) -> None:
    from depthrt_training.evaluation.candidate.sets import set_report

    found = figures(a_set(tmp_path / "own", [ramp(1, 3), ramp(2, 5)]))
    report = set_report("own", found, {"own"})
    assert report["abs_rel"][CANDIDATE] == pytest.approx(report["abs_rel"][TODAY], abs=1e-3)
    assert report["turned_round"] == {CANDIDATE: ["000000", "000001"], TODAY: [], TEACHER: []}
    assert (report["trained_on"], report["group"], report["images"]) == (True, "others", 2)


def test_a_constant_map_is_not_turned_round(tmp_path: Path) -> None:
    from depthrt_training.evaluation.labelled_pictures import figures_of_set

    folder = a_set(tmp_path / "own", [ramp(1, 3)])
    flat = figures_of_set(folder, {"flat": lambda rgb: np.ones(rgb.shape[:2], np.float32)})
    assert flat["000000"]["flat"].correlation == 0


def test_the_same_network_has_ratios_of_exactly_one() -> None:
    from depthrt_training.evaluation.candidate.paired import difference, ratio

    errors = [0.1, 0.3, 0.2]
    assert ratio([(errors, errors)]) == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert difference([(errors, errors)]) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_ratio_of_several_sets_is_the_mean_of_theirs_however_many_pictures_they_have() -> None:
    from depthrt_training.evaluation.candidate.paired import ratio

    many = ([0.1, 0.2, 0.3] * 20, [0.2, 0.4, 0.6] * 20)
    found = ratio([many, ([0.4, 0.6], [0.5, 0.5])])
    assert found["value"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["low"] < found["value"] < found["high"]
    assert ratio([([0.3], [0.2])]) == {"value": 1.5, "low": None, "high": None}


def test_sets_that_were_trained_on_are_left_out_of_the_unseen_means(tmp_path: Path) -> None:
    from depthrt_training.evaluation.candidate.sets import group_reports

    sets = {
        "replica_office0": figures(a_set(tmp_path / "a", [ramp(1, 3)])),
        "slambook_icl_livingroom": figures(a_set(tmp_path / "b", [ramp(2, 4)])),
        "kitti_lidar_jam": figures(a_set(tmp_path / "c", [ramp(2, 9)])),
    }
    found = group_reports(sets, {"replica_office0"})
    assert found["rooms"]["unseen"]["sets"] == ["slambook_icl_livingroom"]
    assert found["rooms"]["every"]["sets"] == ["replica_office0", "slambook_icl_livingroom"]
    assert found["roads"]["unseen"]["sets"] == ["kitti_lidar_jam"]
    assert "desks" not in found


def test_goals_name_what_was_missed(tmp_path: Path) -> None:
    from depthrt_training.evaluation.candidate.goals import goals
    from depthrt_training.evaluation.candidate.sets import group_reports, set_report

    found = figures(a_set(tmp_path / "kitti_lidar_jam", [ramp(1, 3), ramp(2, 5)]))
    report = {
        "sets": {"kitti_lidar_jam": set_report("kitti_lidar_jam", found, set())},
        "groups": group_reports({"kitti_lidar_jam": found}, set()),
        "flicker": {"mean_over_today": 0.9},
    }
    reached = {goal["goal"]: goal["reached"] for goal in goals(report)}
    assert reached["pictures turned round, every set"] is False
    assert reached["delta1 minus TCMonoDepth-small's, mean of unseen sets"] is False
    assert reached["flicker over today's, mean of the clips"] is True
    assert "AbsRel over today's, unseen rooms" not in reached


def test_a_sheet_has_a_row_for_each_of_the_worst_scenes(tmp_path: Path) -> None:
    from depthrt_training.evaluation.sheets import HEIGHT, WIDTH, write_sheet
    from depthrt_training.evaluation.worst_pictures import worst_names, worst_rows

    folder = a_set(tmp_path / "own", [ramp(1, 3)] * 14)
    errors = {f"{number:06d}": number / 10 for number in range(14)}
    assert worst_names(folder, errors, 5) == ["000013", "000011"]  # of scenes of 12 views
    write_sheet(tmp_path / "sheet.png", worst_rows(folder, errors, {"a": right}, 2), columns=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape == (2 * (HEIGHT + 18), 3 * WIDTH, 3)

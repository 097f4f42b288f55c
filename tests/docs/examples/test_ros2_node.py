"""The ROS 2 node against a stand-in for rclpy and sensor_msgs: its own code, not ROS itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import depthrt
from helpers.commands import Outcome
from helpers.models.small_model import build_model

RunExample = Callable[..., Outcome]
STAND_IN = Path(__file__).parent / "ros_stand_in"
ENCODINGS = ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"]


def write_message(path: Path, rgb: np.ndarray, encoding: str, padding: int = 0) -> None:
    """A picture as the bytes of a message, each row padded by so many."""
    alpha = np.full((*rgb.shape[:2], 1), 9, np.uint8)
    pixels = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], 2),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], 2),
        "mono8": rgb[..., :1],
        "16UC1": rgb[..., :2],
    }[encoding]
    rows = pixels.reshape(rgb.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    np.savez(path, data=data, size=rgb.shape[:2], step=data.shape[1], encoding=encoding)


@pytest.mark.parametrize(
    ("kind", "unit", "topic"),
    [
        ("inverse_depth", None, "relative_inverse_depth/image"),
        ("depth", None, "relative_depth/image"),
        ("depth", "m", "depth/image"),
        ("inverse_depth", "m", "depth/image"),
    ],
)
def test_pictures_become_depth_with_their_header(
    run_example: RunExample, tmp_path: Path, kind: str, unit: str | None, topic: str
) -> None:
    spec = depthrt.ModelSpec("tiny", kind, depthrt.InputSpec(48, 64), unit=unit)  # type: ignore[arg-type]
    file = build_model(tmp_path / "tiny.onnx", spec=spec, gain=0.01)
    rng = np.random.default_rng(1)
    rgb = rng.integers(1, 255, (60, 80, 3), np.uint8)
    for number, encoding in enumerate([*ENCODINGS, "16UC1"]):
        write_message(tmp_path / f"in_{number}.npz", rgb, encoding, padding=4 * (number % 2))
    ended = run_example(
        "ros2_node.py", file, "--ros-args", "-r", "image_raw:=/camera/image_raw",
        first=STAND_IN, ROS_STAND_IN=str(tmp_path),
    )  # fmt: skip
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines() == [
        f"[INFO] tiny publishes {topic}",
        "[ERROR] 16UC1 is none of rgb8, bgr8, rgba8, bgra8, mono8",
    ]
    model = depthrt.DepthModel.load(file)
    assert len(list(tmp_path.glob("out_*.npz"))) == len(ENCODINGS)
    for number, encoding in enumerate(ENCODINGS):
        out = np.load(tmp_path / f"out_{number}.npz")
        seen = np.repeat(rgb[..., :1], 3, axis=2) if encoding == "mono8" else rgb
        expected = model(np.ascontiguousarray(seen)).at_image_size()
        inverse = kind == "inverse_depth" and unit == "m"
        np.testing.assert_allclose(out["depth"], 1 / expected if inverse else expected, rtol=1e-6)
        assert (str(out["topic"]), str(out["encoding"])) == (topic, "32FC1")
        assert (int(out["width"]), int(out["nanosec"])) == (80, number)
        assert str(out["frame_id"]) == "camera_optical_frame"

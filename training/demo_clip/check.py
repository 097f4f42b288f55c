"""Check the demo clip: the depth against geometry, and clip, depth, intrinsics and poses together.

python check.py ../../runtime/depthrt/data
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import bpy
import cv2
import depth
import numpy as np
import scene as street
import view
from mathutils import Matrix, Vector


def require(holds: bool, what: str) -> None:
    """Say what was checked; stop when it does not hold."""
    print(("ok    " if holds else "WRONG ") + what)
    if not holds:
        raise SystemExit(1)


def check_plane() -> None:
    """A wall across the optical axis has one depth all over, also far from the middle."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    camera = view.add_camera()
    pose = view.camera_matrix(40)
    bpy.ops.mesh.primitive_plane_add(size=200)
    bpy.context.object.matrix_world = pose @ Matrix.Translation((0, 0, -7.25))
    depth.setup_depth()
    seen = depth.render_depth(camera, pose)
    error = float(np.abs(seen - 7.25).max())
    require(error < 1e-4, f"plane at 7.25 m: largest error {error:.2e} m")


def check_rays(folder: Path, about: dict[str, Any], count: int = 4000) -> None:
    """Stored depth against rays cast into the meshes by Blender, independent of Cycles."""
    street.build_scene()
    graph = bpy.context.evaluated_depsgraph_get()
    lens, rng = about["intrinsics"], np.random.default_rng(0)
    for frame in (about["frames"][0], about["frames"][-1]):
        stored = read_depth(folder, about, frame)
        pose = view.camera_matrix(frame)
        errors = []
        for u, v in zip(
            rng.integers(0, lens["width"], count),
            rng.integers(0, lens["height"], count),
            strict=True,
        ):
            ray = Vector(((u - lens["cx"]) / lens["fx"], -(v - lens["cy"]) / lens["fy"], -1.0))
            way = pose.to_3x3() @ ray
            hit, where, *_ = bpy.context.scene.ray_cast(graph, pose.translation, way.normalized())
            true = -(pose.inverted() @ where).z if hit else 0.0
            errors.append(abs(true - stored[v, u]))
        share = float(np.mean(np.array(errors) <= 1.5 * about["depth_unit_m"]))
        require(share > 0.99, f"frame {frame}: {share:.2%} of {count} rays agree within 1.5 units")


def read_depth(folder: Path, about: dict[str, Any], frame: int) -> np.ndarray:
    """One stored depth map in metres."""
    stored = cv2.imread(str(folder / f"{frame:06d}.png"), cv2.IMREAD_UNCHANGED)
    require(stored.dtype == np.uint16, f"frame {frame}: 16 bits, {np.mean(stored == 0):.1%} sky")
    return stored * about["depth_unit_m"]


def check_views(pictures: list[np.ndarray], folder: Path, about: dict[str, Any]) -> None:
    """Each depth map, moved to the next one by the poses, must agree in depth and colour."""
    lens = about["intrinsics"]
    v, u = np.mgrid[0 : lens["height"], 0 : lens["width"]]
    rays = np.stack(
        [(u - lens["cx"]) / lens["fx"], (v - lens["cy"]) / lens["fy"], np.ones_like(u)], -1
    )
    maps = {frame: read_depth(folder, about, frame) for frame in about["frames"]}
    poses = dict(zip(about["frames"], np.array(about["poses"]), strict=True))
    for first, second in pairwise(about["frames"]):
        there = np.linalg.inv(poses[first]) @ poses[second]
        points = (rays * maps[second][..., None]) @ there[:3, :3].T + there[:3, 3]
        z = np.maximum(points[..., 2], 1e-6)
        x = (points[..., 0] / z * lens["fx"] + lens["cx"]).astype(np.float32)
        y = (points[..., 1] / z * lens["fy"] + lens["cy"]).astype(np.float32)
        inside = (
            (maps[second] > 0)
            & (x >= 0)
            & (y >= 0)
            & (x < lens["width"] - 1)
            & (y < lens["height"] - 1)
        )
        moved = cv2.remap(maps[first].astype(np.float32), x, y, cv2.INTER_NEAREST)
        same = inside & (np.abs(moved - points[..., 2]) < 0.03 * points[..., 2])
        colour = cv2.remap(pictures[first], x, y, cv2.INTER_LINEAR).astype(float)
        difference = np.abs(colour - pictures[second]).mean(-1)
        still = np.abs(pictures[first].astype(float) - pictures[second]).mean(-1)
        share, near, before = same.sum() / inside.sum(), difference[same].mean(), still[same].mean()
        text = f"depth agrees on {share:.1%}; colour differs by {near:.1f} (unmoved {before:.1f})"
        require(share > 0.7 and near < 0.6 * before, f"{first} -> {second}: {text}")


def check_clip(path: Path) -> list[np.ndarray]:
    """Decode the whole clip."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [
            frame.reformat(format="bgr24", src_colorspace="ITU709").to_ndarray()
            for frame in container.decode(stream)
        ]
        rate, context = stream.average_rate, stream.codec_context
        require(
            len(pictures) == view.FRAMES and rate == view.FPS,
            f"{len(pictures)} frames at {rate} per second",
        )
        require(
            context.pix_fmt == "yuv420p" and context.colorspace == 1,
            f"{context.pix_fmt}, BT.709, {pictures[0].shape}",
        )
    data = path.read_bytes()
    require(
        len(data) <= 1_000_000 and data.index(b"moov") < data.index(b"mdat"),
        f"{len(data)} bytes, faststart",
    )
    return pictures


def main() -> None:
    """Run every check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    folder = args.data / "demo_depth"
    about = json.loads((folder / "dataset.json").read_text())
    check_plane()
    check_rays(folder, about)
    check_views(check_clip(args.data / "demo.mp4"), folder, about)


if __name__ == "__main__":
    main()

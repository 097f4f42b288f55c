"""Exact depth of some frames of the demo clip, as 16-bit PNG with intrinsics and poses.

    python depth.py ../../runtime/depthrt/data/demo_depth

The depth is the distance along the optical axis, taken by one ray through the middle of each
pixel: never a mixture of near and far. Sky is 0.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import bpy
import cv2
import numpy as np
import scene as street
import view
from mathutils import Matrix

DEPTH_FRAMES = tuple(range(9, view.FRAMES, 18))
DEPTH_UNIT_M = 1 / 256
OPENCV_AXES = Matrix.Diagonal((1.0, -1.0, -1.0, 1.0))  # from x right, y down, z forward


def setup_depth() -> None:
    """One unfiltered sample per pixel, and a material that shines with its own depth."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = view.WIDTH, view.HEIGHT
    scene.render.film_transparent = True
    settings = scene.render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    cycles = scene.cycles
    cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = 1, False, False
    cycles.max_bounces = 0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    material = bpy.data.materials.new("depth")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    lens = tree.nodes.new("ShaderNodeCameraData")
    glow = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(lens.outputs["View Z Depth"], glow.inputs["Color"])
    tree.links.new(glow.outputs[0], output.inputs["Surface"])
    bpy.context.view_layer.material_override = material


def render_depth(camera: bpy.types.Object, pose: Matrix) -> np.ndarray:
    """The depth in metres seen from a pose in Blender's axes; 0 where there is nothing."""
    camera.matrix_world = pose
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "depth.exr"
        bpy.context.scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        image.colorspace_settings.name = "Non-Color"
        values = np.empty(view.WIDTH * view.HEIGHT * 4, np.float32)
        image.pixels.foreach_get(values)
        bpy.data.images.remove(image)
    planes = values.reshape(view.HEIGHT, view.WIDTH, 4)[::-1]  # H,W,4; rows from the bottom
    return np.where(planes[..., 3] > 0.5, planes[..., 0], 0.0)


def intrinsics() -> dict[str, float]:
    """The pinhole camera in pixels; the middle of the first pixel is (0, 0)."""
    focal = view.FOCAL_MM / view.SENSOR_MM * view.WIDTH
    return {
        "fx": focal,
        "fy": focal,
        "cx": (view.WIDTH - 1) / 2,
        "cy": (view.HEIGHT - 1) / 2,
        "width": view.WIDTH,
        "height": view.HEIGHT,
    }


def write_png(path: Path, depth_m: np.ndarray) -> None:
    """Store metres in units, by the filter that gives the smallest file."""
    units = np.rint(depth_m / DEPTH_UNIT_M)
    if units.max() > 65535:
        raise ValueError(
            f"{path.name}: {depth_m.max():.1f} m does not fit in 16 bits; raise DEPTH_UNIT_M"
        )
    best = b""
    for strategy in (cv2.IMWRITE_PNG_STRATEGY_DEFAULT, cv2.IMWRITE_PNG_STRATEGY_FILTERED):
        options = [cv2.IMWRITE_PNG_COMPRESSION, 9, cv2.IMWRITE_PNG_STRATEGY, strategy]
        data = cv2.imencode(".png", units.astype(np.uint16), options)[1].tobytes()
        best = data if not best or len(data) < len(best) else best
    path.write_bytes(best)


def main() -> None:
    """Render the depth of all DEPTH_FRAMES."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    camera = street.build_scene()
    setup_depth()
    poses, nearest, farthest = [], np.inf, 0.0
    for frame in DEPTH_FRAMES:
        pose = view.camera_matrix(frame)
        depth_m = render_depth(camera, pose)
        nearest = min(nearest, float(depth_m[depth_m > 0].min()))
        farthest = max(farthest, float(depth_m.max()))
        write_png(args.out / f"{frame:06d}.png", depth_m)
        poses.append([[round(v, 9) for v in row] for row in pose @ OPENCV_AXES])
    about: dict[str, Any] = {
        "depth_unit_m": DEPTH_UNIT_M,
        "min_depth_m": np.floor(nearest * 10) / 10,
        "max_depth_m": np.ceil(farthest),
        "invalid": 0,
        "intrinsics": intrinsics(),
        "fps": view.FPS,
        "frames": list(DEPTH_FRAMES),
        "pose_axes": "camera to world; camera x right, y down, z forward; world z up; metres",
        "poses": poses,
    }
    (args.out / "dataset.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Render pairs of colour and exact depth, as depth-camera sets with poses.

    python -m depthrt_training.rendered.generate --out OUT --scenes 300 --photographs DATA/images

Writes one folder for each kind of scene, laid out like every RGB-D set here: `rgb/NNNNNN.jpg`
(8 bit), `depth/NNNNNN.png` (16 bit), `dataset.json`, `poses.txt` (camera to world, x right,
y down, z forward) and `intrinsics.txt` (the field of view differs between scenes). Sky has the
value 65535: no valid depth, but known to be infinitely far. A seed and a scene number always give
the same scene. An interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("MUJOCO_GL", "egl")

import cv2
import mujoco
import numpy as np
import numpy.typing as npt

from depthrt_training.rendered.scene_builder import Builder
from depthrt_training.rendered.scenes import SCENES, Camera, Scene
from depthrt_training.rendered.textures import build_pool

HEIGHT, WIDTH = 256, 336
SKY = 65535
DEPTH_UNIT_M = {"room": 0.0005, "desk": 0.0005, "floor": 0.0005, "corridor": 0.001,
                "street": 0.002, "park": 0.002}  # fmt: skip
SHARES = {"room": 0.27, "desk": 0.27, "floor": 0.14, "corridor": 0.08, "street": 0.14, "park": 0.1}
VIEWS = 12
TRIES = 6  # random cameras for each view; then the view is left out
MIN_JUMPS = {"floor": 0.002}
MIN_JUMPS_ELSEWHERE = (
    0.012  # least share of pixels at a depth edge; views of blank walls have fewer
)


def look_at(camera: Camera) -> npt.NDArray[np.float64]:
    """3,3: columns are the camera's right, up and back, as OpenGL has it."""
    back = np.subtract(camera.position, camera.target, dtype=np.float64)
    back /= max(float(np.linalg.norm(back)), 1e-9)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= max(float(np.linalg.norm(right)), 1e-9)
    up = np.cross(back, right)
    c, s = np.cos(camera.roll), np.sin(camera.roll)
    return np.column_stack([c * right + s * up, c * up - s * right, back])


def quaternion(rotation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """w, x, y, z."""
    q = np.zeros(4)
    mujoco.mju_mat2Quat(q, np.ascontiguousarray(rotation).ravel())
    return q


class SceneRenderer:
    """One compiled scene and its OpenGL context."""

    def __init__(
        self, builder: Builder, scene: Scene, fov_y_deg: float, fog: bool, min_jumps: float
    ) -> None:
        xml = builder.xml(scene.near_m, scene.far_m, scene.ambient, scene.shadow_m)
        self.scene = scene
        self.model = mujoco.MjModel.from_xml_string(xml, builder.assets)
        self.model.cam_fovy[0] = fov_y_deg
        self.data = mujoco.MjData(self.model)
        self.renderer = mujoco.Renderer(self.model, HEIGHT, WIDTH, max_geom=4000)
        self.fog = fog
        self.min_jumps = min_jumps

    def view(self, camera: Camera) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None:
        """RGB (H,W,3) and depth along the optical axis (H,W, metres, infinite for sky).

        None where the view shows too little: see `_worth_it`.
        """
        self.model.cam_pos[0] = camera.position
        self.model.cam_quat[0] = quaternion(look_at(camera))
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        self.renderer.update_scene(self.data, camera="camera")
        self.renderer.enable_depth_rendering()
        depth = np.array(self.renderer.render(), dtype=np.float32)
        self.renderer.disable_depth_rendering()
        depth[depth > 0.97 * self.scene.far_m] = np.inf
        if not _worth_it(depth, self.scene.near_m, self.min_jumps):
            return None
        self.renderer.scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = self.fog
        return np.array(self.renderer.render(), dtype=np.uint8), depth

    def close(self) -> None:
        """Free the context."""
        self.renderer.close()


def expose(
    rgb: npt.NDArray[np.uint8], rng: np.random.Generator, brightness: tuple[float, float]
) -> npt.NDArray[np.uint8]:
    """Simulate automatic exposure: scale to a random mean brightness, compress highlights."""
    linear = (rgb / 255.0) ** 2.2
    goal = rng.uniform(*brightness) ** 2.2
    exposed = linear * np.clip(goal / max(float(linear.mean()), 1e-4), 0.5, 12)
    rolled = np.where(exposed < 0.6, exposed, 1 - 0.4 * np.exp(-(exposed - 0.6) / 0.4))
    return np.asarray(np.round(255 * rolled ** (1 / 2.2)), dtype=np.uint8)


def _worth_it(depth: npt.NDArray[np.float32], near_m: float, min_jumps: float) -> bool:
    """Whether the camera is neither inside an object, nor at a blank wall, nor sees mostly sky."""
    small = depth[::4, ::4]
    seen = small[np.isfinite(small)]
    if seen.size < 0.5 * small.size:
        return False
    near, low, high = np.quantile(seen, [0.002, 0.05, 0.95])
    inverse = 1 / small
    jumps = np.abs(np.diff(inverse, axis=1)) > 0.12 * np.maximum(inverse[:, 1:], inverse[:, :-1])
    return bool(near > 3 * near_m and high > 1.35 * low and jumps.mean() > min_jumps)


def render_scene(kind: str, seed: int, number: int, pool: dict[str, list[bytes]], out: Path) -> int:
    """Write the views of one scene; returns their number."""
    rng = np.random.default_rng([seed, number])
    builder = Builder(rng, pool)
    scene = SCENES[kind](builder)
    fov_y_deg = float(rng.uniform(34, 68))
    outside = kind in ("street", "park")
    fog = outside and rng.random() < 0.4
    min_jumps = MIN_JUMPS.get(kind, MIN_JUMPS_ELSEWHERE)
    renderer = SceneRenderer(builder, scene, fov_y_deg, fog, min_jumps)
    focal = HEIGHT / 2 / np.tan(np.deg2rad(fov_y_deg) / 2)
    lines, lens, count = [], [], 0
    for view in range(VIEWS):
        pair = None
        for _ in range(TRIES):
            camera = scene.camera(rng)
            pair = renderer.view(camera)
            if pair is not None:
                break
        if pair is None:
            continue
        name = f"{number * VIEWS + view:06d}"
        rgb = expose(pair[0], rng, (0.35, 0.62))
        _write(out, name, rgb, pair[1], DEPTH_UNIT_M[kind])
        w, x, y, z = quaternion(look_at(camera) @ np.diag([1.0, -1.0, -1.0]))
        values = [*camera.position, x, y, z, w]
        lines.append(f"{name} " + " ".join(f"{v:.6f}" for v in values))
        lens.append(f"{name} {focal:.3f} {focal:.3f} {WIDTH / 2} {HEIGHT / 2}")
        count += 1
    renderer.close()
    (out / "parts").mkdir(exist_ok=True)
    (out / "parts" / f"{number:06d}.json").write_text(json.dumps({"poses": lines, "lens": lens}))
    return count


def _write(
    out: Path, name: str, rgb: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32], unit_m: float
) -> None:
    raw = np.where(np.isfinite(depth), np.clip(np.round(depth / unit_m), 1, SKY - 1), SKY)
    cv2.imwrite(str(out / "rgb" / f"{name}.jpg"), rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93])
    cv2.imwrite(str(out / "depth" / f"{name}.png"), raw.astype(np.uint16))


def finish_set(kind: str, seed: int, folder: Path, photographs: bool) -> dict[str, Any]:
    """Write poses, intrinsics and dataset.json of all scenes rendered so far."""
    parts = [json.loads(file.read_text()) for file in sorted((folder / "parts").glob("*.json"))]
    poses = [line for part in parts for line in part["poses"]]
    lens = [line for part in parts for line in part["lens"]]
    head = "# frame tx ty tz qx qy qz qw (camera to world, metres)"
    (folder / "poses.txt").write_text("\n".join([head, *poses]) + "\n")
    (folder / "intrinsics.txt").write_text("\n".join(["# frame fx fy cx cy", *lens]) + "\n")
    spec = {
        "name": f"rendered {kind}s",
        "depth_unit_m": DEPTH_UNIT_M[kind],
        "min_depth_m": 0.05,
        "max_depth_m": 100.0 if kind in ("street", "park") else 30.0,
        "invalid": [0, SKY],
        "sky": SKY,
        "frames": len(poses),
        "scenes": len(parts),
        "views_a_scene": VIEWS,
        "seed": seed,
        "photographs_as_textures": photographs,
        "versions": {
            "mujoco": mujoco.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "python": platform.python_version(),
        },
        "licence": "made by this recipe",
        "scene": (SCENES[kind].__doc__ or "").strip(),
    }
    (folder / "dataset.json").write_text(json.dumps(spec, indent=2) + "\n")
    return spec


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Render pairs of colour and exact depth.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=300, help=f"each of {VIEWS} views")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--photographs", type=Path, help="folder of JPEGs to use as textures")
    parser.add_argument("--part", default="0/1", help="k/n: render every n-th scene from the k-th")
    options = parser.parse_args()
    part, parts = (int(v) for v in options.part.split("/"))
    pool = build_pool(options.seed, options.photographs)
    order = np.random.default_rng(options.seed)
    kinds = order.choice(list(SHARES), size=options.scenes, p=list(SHARES.values()))
    for kind in SHARES:
        for name in ("rgb", "depth", "parts"):
            (options.out / kind / name).mkdir(parents=True, exist_ok=True)
    start, frames = time.perf_counter(), 0
    for number in range(part, options.scenes, parts):
        folder = options.out / str(kinds[number])
        if (folder / "parts" / f"{number:06d}.json").exists():
            continue
        frames += render_scene(str(kinds[number]), options.seed, number, pool, folder)
        if number % 20 == part:
            rate = frames / (time.perf_counter() - start)
            print(f"scene {number}: {frames} frames, {rate:.1f} a second", flush=True)
    for kind in SHARES:
        finish_set(kind, options.seed, options.out / kind, options.photographs is not None)


if __name__ == "__main__":
    main()

"""The generator of rendered pairs."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from depthrt_training.rendered.scene_builder import Builder
from depthrt_training.rendered.scenes import SCENES, Camera, Scene
from depthrt_training.rendered.textures import build_pool


def draw(kind: str, number: int) -> tuple[str, dict[str, bytes]]:
    pool = build_pool(1, None, per_pattern=2)
    builder = Builder(np.random.default_rng([1, number]), pool)
    scene = SCENES[kind](builder)
    xml = builder.xml(scene.near_m, scene.far_m, scene.ambient, scene.shadow_m)
    return xml, builder.assets


@pytest.mark.parametrize("kind", ["room", "desk", "floor", "corridor", "street", "park"])
def test_a_seed_and_a_number_are_one_scene(kind: str) -> None:
    xml, assets = draw(kind, 3)
    again, _ = draw(kind, 3)
    other, _ = draw(kind, 4)

    assert xml == again
    assert xml != other
    root = ET.fromstring(xml)
    materials = {m.get("name") for m in root.iter("material")}
    geoms = list(root.iter("geom"))[1:]  # the first is the default's
    assert len(geoms) > 15
    assert {g.get("material") for g in geoms} <= materials
    files = {t.get("file") for t in root.iter("texture")} - {None}
    assert files == set(assets)


def test_textures_are_square_colour_pictures_with_something_on_them() -> None:
    pool = build_pool(5, None, per_pattern=3)

    for kind, files in pool.items():
        for file in files:
            image = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
            assert image is not None
            assert image.shape == (256, 256, 3), kind
            assert image.std() > 0.5, kind


def drawing_failure() -> str:
    """Why MuJoCo cannot draw here, empty where it can: tried in a process of its own.

    A machine without EGL, or without a driver for it, fails while mujoco is imported.
    """
    done = subprocess.run(
        [sys.executable, "-c", "import mujoco; mujoco.GLContext(16, 16).make_current()"],
        env={**os.environ, "MUJOCO_GL": "egl"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stderr.strip() or f"exit code {done.returncode}"
    return said.splitlines()[-1] if done.returncode else ""


@pytest.mark.slow
def test_depth_is_the_distance_along_the_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    if find_spec("mujoco") is None:
        pytest.skip("mujoco draws the pairs: pip install mujoco (Python 3.11 and later)")
    if failure := drawing_failure():
        pytest.skip(f"mujoco cannot draw here (libegl1 and libgl1-mesa-dri do): {failure}")
    from depthrt_training.rendered import generate

    builder = Builder(np.random.default_rng(0), build_pool(1, None, per_pattern=1))
    for x, distance in ((-1.0, 2.0), (1.0, 3.0)):
        builder.box((x, distance + 0.05, 1.0), (1.9, 0.1, 3.0), builder.material("stone"))
    builder.box((0, 8.05, 0), (40, 0.1, 40), builder.material("plaster"))
    scene = Scene(0.05, 30, 0.5, 8, lambda rng: pytest.fail("not asked"))
    drawn = generate.SceneRenderer(builder, scene, 50.0, fog=False, min_jumps=0.0)
    try:
        pair = drawn.view(Camera((0, 0, 1), (0, 1, 1), 0.0))
    finally:
        drawn.close()

    assert pair is not None
    middle = pair[1][generate.HEIGHT // 2]
    assert middle[generate.WIDTH // 4] == pytest.approx(2.0, abs=2e-3)
    assert middle[3 * generate.WIDTH // 4] == pytest.approx(3.0, abs=2e-3)
    assert pair[1].max() == pytest.approx(8.0, abs=5e-3)
    assert pair[0].std() > 1

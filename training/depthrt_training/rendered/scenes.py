"""The six kinds of scenes, and random cameras in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from depthrt_training.rendered import furniture, outdoor_objects
from depthrt_training.rendered.backgrounds import furnish, shell, sky
from depthrt_training.rendered.scene_builder import Builder, turned

Rng = np.random.Generator


@dataclass(frozen=True)
class Camera:
    """A camera: its position and the point it looks at (metres), its roll (radians)."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    roll: float


@dataclass(frozen=True)
class Scene:
    """A built scene: clip planes and shadow range (metres), ambient light, random cameras."""

    near_m: float
    far_m: float
    ambient: float
    shadow_m: float
    camera: Callable[[Rng], Camera]


def room(b: Builder) -> Scene:
    """A furnished room seen by a standing or sitting person."""
    r = b.rng
    lx, ly, h = r.uniform(2.8, 8), r.uniform(2.8, 7), r.uniform(2.3, 3.2)
    shell(b, lx, ly, h)
    for _ in range(int(r.integers(5, 14))):
        furnish(b, lx, ly)
    for _ in range(int(r.integers(0, 8))):
        x, y = r.uniform(-lx / 2.3, lx / 2.3), r.uniform(-ly / 2.3, ly / 2.3)
        furniture.clutter(b, x, y, 0, r.uniform(0, 6.28), 1.6)
    if r.random() < 0.3:
        x, y = r.uniform(-lx / 3, lx / 3), r.uniform(-ly / 3, ly / 3)
        outdoor_objects.person(b, x, y, 0, r.uniform(0, 6.28))

    def camera(rng: Rng) -> Camera:
        p = (rng.uniform(-lx / 2.2, lx / 2.2), rng.uniform(-ly / 2.2, ly / 2.2),
             rng.uniform(0.9, 1.8))  # fmt: skip
        t = (rng.uniform(-lx / 2, lx / 2), rng.uniform(-ly / 2, ly / 2), rng.uniform(0, 1.6))
        return Camera(p, t, rng.normal() * 0.05)

    return Scene(0.05, 30, r.uniform(0.3, 0.65), 8, camera)


def desk(b: Builder) -> Scene:
    """A desk full of objects, close up."""
    r = b.rng
    lx, ly = r.uniform(3, 6), r.uniform(3, 6)
    shell(b, lx, ly, 2.6)
    w, d, h = r.uniform(1.0, 2.0), r.uniform(0.6, 0.95), r.uniform(0.66, 0.8)
    wall = ly / 2 - d / 2 - r.uniform(0, 0.6)
    furniture.table(b, 0, wall, 0, w, d, h)
    if r.random() < 0.3:
        furniture.table(b, w * 0.9, wall - 0.3, math.pi / 2, w, d, h)
    for _ in range(int(r.integers(0, 3))):
        x = r.uniform(-w / 2, w / 2)
        furniture.monitor(b, x, wall + d * r.uniform(0, 0.3), h, r.uniform(-0.4, 0.4))
    for _ in range(int(r.integers(5, 26))):
        x, y = r.uniform(-w / 2, w / 2), wall + r.uniform(-d / 2, d / 2)
        furniture.clutter(b, x, y, h, r.uniform(0, 6.28))
    if r.random() < 0.4:
        furniture.lamp(b, r.uniform(-w / 2, w / 2), wall + d * 0.3, h, r.uniform(0.3, 0.6))
    if r.random() < 0.3:
        furniture.plant(b, r.uniform(-w / 2, w / 2), wall + d * 0.3, h, r.uniform(0.25, 0.5))
    for _ in range(int(r.integers(1, 6))):
        furnish(b, lx, ly)
    furniture.chair(
        b, r.uniform(-w / 2, w / 2), wall - d * r.uniform(0.6, 1.1), r.uniform(2.4, 3.9)
    )

    def camera(rng: Rng) -> Camera:
        t = (rng.uniform(-w / 2, w / 2), wall + rng.uniform(-d / 2, d / 2), h + rng.uniform(0, 0.2))
        distance, turn = rng.uniform(0.35, 1.8), rng.normal() * 0.7
        rise = rng.uniform(0.1, 1.25)
        dx, dy = turned(0, -distance * math.cos(rise), turn)
        return Camera(
            (t[0] + dx, t[1] + dy, t[2] + distance * math.sin(rise)), t, rng.normal() * 0.12
        )

    return Scene(0.03, 20, r.uniform(0.3, 0.65), 5, camera)


def floor(b: Builder) -> Scene:
    """A floor with a few things on it, seen from a small robot or from above."""
    r = b.rng
    lx, ly = r.uniform(3, 12), r.uniform(3, 10)
    shell(b, lx, ly, r.uniform(2.4, 4))
    for _ in range(int(r.integers(1, 9))):
        x, y = r.uniform(-lx / 2.5, lx / 2.5), r.uniform(-ly / 2.5, ly / 2.5)
        size = r.uniform(0.12, 0.9, 3)
        furniture.ObjectBuilder(b, x, y, 0, r.uniform(0, 6.28)).box(
            0, 0, 0, size[0], size[1], size[2], b.material("wood", "photo", "stone", "print")
        )
    for _ in range(int(r.integers(0, 7))):
        furnish(b, lx, ly)
    for _ in range(int(r.integers(0, 6))):
        x, y = r.uniform(-lx / 2.5, lx / 2.5), r.uniform(-ly / 2.5, ly / 2.5)
        furniture.clutter(b, x, y, 0, r.uniform(0, 6.28), 1.5)

    def camera(rng: Rng) -> Camera:
        p = (rng.uniform(-lx / 2.3, lx / 2.3), rng.uniform(-ly / 2.3, ly / 2.3),
             rng.uniform(0.2, 1.3))  # fmt: skip
        a, reach = rng.uniform(0, 6.28), rng.uniform(0.6, 4)
        t = (p[0] + reach * math.cos(a), p[1] + reach * math.sin(a), rng.uniform(0, 0.5))
        return Camera(p, t, rng.normal() * 0.04)

    return Scene(0.04, 30, r.uniform(0.3, 0.65), 8, camera)


def corridor(b: Builder) -> Scene:
    """A corridor or a hall with pillars, doors and people."""
    r = b.rng
    lx, ly, h = r.uniform(1.6, 5), r.uniform(10, 30), r.uniform(2.3, 4.5)
    shell(b, lx, ly, h)
    door = b.material("wood", "plaster", "stone")
    frame = b.material("wood", "plaster")
    for y in np.arange(-ly / 2 + 1, ly / 2 - 1, r.uniform(1.6, 4)):
        for side in (-1, 1):
            if r.random() < 0.6:
                p = furniture.ObjectBuilder(b, side * lx / 2, float(y), 0, 0)
                p.box(0, 0, 0, 0.05, 1.0, 2.1, frame)
                p.box(0, 0, 0, 0.07, 0.84, 2.02, door)
            elif lx > 2.8 and r.random() < 0.3:
                furniture.ObjectBuilder(b, side * lx / 3.2, float(y), 0, 0).tube(
                    0, 0, 0, 0.2, h, b.material("stone", "tiles", "plaster")
                )
            elif r.random() < 0.3:
                furniture.plant(b, side * (lx / 2 - 0.3), float(y), 0, r.uniform(0.7, 1.3))
    for _ in range(int(r.integers(0, 6))):
        x, y = r.uniform(-lx / 3, lx / 3), r.uniform(-ly / 2, ly / 2)
        outdoor_objects.person(b, x, float(y), 0, r.uniform(0, 6.28))

    def camera(rng: Rng) -> Camera:
        y = rng.uniform(-ly / 2 + 0.5, ly / 2 - 0.5)
        p = (rng.uniform(-lx / 3, lx / 3), y, rng.uniform(0.4, 1.8))
        ahead = math.copysign(rng.uniform(3, 8), -y if rng.random() < 0.8 else y)
        return Camera(p, (rng.uniform(-lx / 2, lx / 2), y + ahead, rng.uniform(0.3, 2)), 0.0)

    return Scene(0.05, 60, r.uniform(0.3, 0.65), 10, camera)


def street(b: Builder) -> Scene:
    """A street between houses, with cars, people, trees and sky."""
    r = b.rng
    sky(b)
    road, walk = r.uniform(5, 11), r.uniform(1.2, 4)
    b.add("plane", (150, 150, 1), (0, 0, 0), b.material("stone", repeat=0.4, flat=True))
    pavement = b.material("tiles", "stone")
    edge = road / 2 + walk
    for side in (-1, 1):
        for k in range(-6, 7):
            b.box((side * (road / 2 + walk / 2), 10.0 * k, 0.06), (walk, 10, 0.14), pavement)
    line = b.material("plaster")
    for k in range(-20, 21):
        b.box((0, 4.0 * k, 0.004), (0.14, 2, 0.008), line)
    open_side = r.random() < 0.3
    for side in (-1, 1):
        y = -70.0
        while y < 70:
            w = r.uniform(6, 20)
            if open_side and side == 1:
                outdoor_objects.tree(b, side * (edge + r.uniform(1, 9)), y, 0, r.uniform(4, 12))
            elif r.random() < 0.9:
                tall, deep = r.uniform(4, 22), r.uniform(6, 12)
                x = side * (edge + deep / 2 + (r.uniform(0, 5) if r.random() < 0.3 else 0))
                b.box(
                    (x, y + w / 2, tall / 2),
                    (deep, w, tall),
                    b.material("facade", "facade", "tiles"),
                )
            y += w if not (open_side and side == 1) else r.uniform(2, 8)
        for _ in range(int(r.integers(0, 9))):
            outdoor_objects.car(b, side * (road / 2 - 1.1), r.uniform(-45, 45), math.pi / 2)
        for _ in range(int(r.integers(1, 9))):
            x = side * (road / 2 + r.uniform(0.3, walk))
            outdoor_objects.person(b, x, r.uniform(-30, 30), 0.12, r.uniform(0, 6.28))
        pole = b.material("stone", "wood")
        for k in range(-4, 5):
            if r.random() < 0.6:
                x = side * (road / 2 + 0.4)
                b.rod((x, 12.0 * k, 0), (x, 12.0 * k, r.uniform(2.5, 8)), 0.07, pole)
        for _ in range(int(r.integers(0, 5))):
            outdoor_objects.tree(b, side * (edge - 0.4), r.uniform(-40, 40), 0, r.uniform(3, 8))
    for _ in range(int(r.integers(0, 4))):
        outdoor_objects.car(b, r.choice([-1, 1]) * road / 4, r.uniform(-45, 45), math.pi / 2)

    def camera(rng: Rng) -> Camera:
        on_road = rng.random() < 0.6
        x = rng.uniform(-road / 3, road / 3) if on_road else rng.choice([-1, 1]) * (edge - 0.6)
        p = (x, rng.uniform(-35, 35), rng.uniform(1.1, 2.3))
        a = rng.choice([-1, 1]) * math.pi / 2 + rng.normal() * (0.12 if on_road else 0.5)
        t = (p[0] + 10 * math.cos(a), p[1] + 10 * math.sin(a), p[2] + rng.uniform(-1.8, 1.2))
        return Camera(p, t, rng.normal() * 0.03)

    return Scene(0.15, 120, r.uniform(0.3, 0.55), 30, camera)


def park(b: Builder) -> Scene:
    """Uneven ground with trees, bushes, rocks and people."""
    r = b.rng
    sky(b)
    rough = cv2.resize(r.random((9, 9)), (65, 65), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(r.random((33, 33)), (65, 65), interpolation=cv2.INTER_CUBIC)
    field = np.asarray(rough + 0.06 * fine, dtype=np.float64)
    field = (field - field.min()) / (field.max() - field.min())
    b.terrain(
        60, r.uniform(0.2, 7), field, b.material("leaves", "leaves", "stone", repeat=0.3, flat=True)
    )
    for _ in range(int(r.integers(15, 60))):
        outdoor_objects.tree(b, r.uniform(-30, 30), r.uniform(-30, 30), -0.3, r.uniform(3, 13))
    for _ in range(int(r.integers(5, 40))):
        size = r.uniform(0.2, 1.4)
        kind = b.material("leaves", "stone")
        b.rock((r.uniform(-20, 20), r.uniform(-20, 20), 0.1), (size, size, size * 0.7), kind, 40)
    for _ in range(int(r.integers(0, 8))):
        outdoor_objects.person(b, r.uniform(-12, 12), r.uniform(-12, 12), 0, r.uniform(0, 6.28))
    if r.random() < 0.5:
        for _ in range(int(r.integers(1, 4))):
            b.box((r.uniform(-45, 45), r.uniform(25, 45), 3), (r.uniform(6, 14), 8, 7),
                  b.material("facade", "tiles"), r.uniform(0, 3))  # fmt: skip

    def camera(rng: Rng) -> Camera:
        p = (rng.uniform(-18, 18), rng.uniform(-18, 18), rng.uniform(1.2, 3))
        a = rng.uniform(0, 6.28)
        t = (p[0] + 8 * math.cos(a), p[1] + 8 * math.sin(a), p[2] + rng.uniform(-3, 1))
        return Camera(p, t, rng.normal() * 0.04)

    return Scene(0.15, 120, r.uniform(0.3, 0.55), 30, camera)


SCENES: dict[str, Callable[[Builder], Scene]] = {
    "room": room,
    "desk": desk,
    "floor": floor,
    "corridor": corridor,
    "street": street,
    "park": park,
}

"""The background of a scene: a room with its furniture, or sky and sun."""

from __future__ import annotations

import math

import numpy as np

from depthrt_training.rendered import furniture
from depthrt_training.rendered.scene_builder import Builder, turned


def shell(b: Builder, lx: float, ly: float, h: float) -> None:
    """Floor, ceiling, four walls with doors, windows and pictures, and lights."""
    r = b.rng
    ground = b.material("wood", "tiles", "stone", "stripes", repeat=r.uniform(0.4, 2), flat=True)
    wall = ("plaster", "plaster", "plaster", "tiles", "stone", "stripes")
    b.add("plane", (lx / 2, ly / 2, 1), (0, 0, 0), ground)
    ceiling = b.material("plaster", "plaster", "tiles", repeat=0.8, flat=True)
    b.add("plane", (lx / 2, ly / 2, 1), (0, 0, h), ceiling, (math.pi, 0, 0))
    shared = b.material(*wall, repeat=r.uniform(0.3, 1.2), flat=True)
    skirting = b.material("wood", "plaster", "stone")
    for k in range(4):
        yaw = k * math.pi / 2
        half, away = (lx / 2, ly / 2) if k % 2 == 0 else (ly / 2, lx / 2)
        m = shared if r.random() < 0.7 else b.material(*wall, repeat=r.uniform(0.3, 1.2), flat=True)
        x, y = turned(0, away, yaw)
        facing = {0: (math.pi / 2, 0, 0), 1: (0, math.pi / 2, 0),
                  2: (-math.pi / 2, 0, 0), 3: (0, -math.pi / 2, 0)}[k]  # fmt: skip
        if k == 1:
            x, y = away, 0.0
            facing = (0, -math.pi / 2, 0)
        if k == 3:
            x, y = -away, 0.0
            facing = (0, math.pi / 2, 0)
        size = (half, h / 2, 1) if k % 2 == 0 else (h / 2, half, 1)
        b.add("plane", size, (x, y, h / 2), m, facing)
        p = furniture.ObjectBuilder(b, x, y, 0, 0 if k % 2 == 0 else math.pi / 2)
        p.box(0, 0, 0, 2 * half, 0.03, 0.09, skirting)
        for _ in range(int(r.integers(0, 4))):
            along = r.uniform(-half * 0.8, half * 0.8)
            width = r.uniform(0.3, 1.3)
            if r.random() < 0.25:
                p.box(along, 0, 0, 0.9, 0.06, 2.05, b.material("wood", "plaster"))
            else:
                p.box(along, 0, r.uniform(0.9, 1.4), width, 0.05, r.uniform(0.3, 1.0),
                      b.material("photo", "photo", "print", "stripes", "facade"))  # fmt: skip
    for k in range(int(r.integers(1, 4))):
        at = (r.uniform(-lx / 3, lx / 3), r.uniform(-ly / 3, ly / 3), h - 0.15)
        down = (r.normal() * 0.4, r.normal() * 0.4, -1)
        b.light(at, down, r.uniform(0.4, 1.0), shadow=k == 0)


def furnish(b: Builder, lx: float, ly: float) -> None:
    """One piece of furniture: against a wall, or in the middle."""
    r = b.rng
    k = int(r.integers(4))
    half, away = (lx / 2, ly / 2) if k % 2 == 0 else (ly / 2, lx / 2)
    x, y = turned(r.uniform(-half * 0.8, half * 0.8), away - r.uniform(0.3, 0.6), -k * math.pi / 2)
    yaw = -k * math.pi / 2
    free_x, free_y = r.uniform(-lx / 3, lx / 3), r.uniform(-ly / 3, ly / 3)
    kind = int(r.integers(8))
    if kind in (0, 1):
        furniture.shelf(b, x, y, yaw)
    elif kind == 2:
        furniture.sofa(b, x, y, yaw)
    elif kind == 3:
        furniture.plant(b, x, y, 0, r.uniform(0.6, 1.5))
    elif kind == 4:
        furniture.lamp(b, x, y, 0, r.uniform(1.2, 1.8))
    elif kind == 5:
        furniture.chair(b, free_x, free_y, r.uniform(0, 6.28))
    else:
        w, d, h = r.uniform(0.7, 1.9), r.uniform(0.5, 1.0), r.uniform(0.4, 0.8)
        near_wall = r.random() < 0.5
        tx, ty = (x, y) if near_wall else (free_x, free_y)
        turn = yaw if near_wall else r.uniform(0, 6.28)
        furniture.table(b, tx, ty, turn, w, d, h)
        for _ in range(int(r.integers(0, 7))):
            dx, dy = turned(r.uniform(-w / 2.2, w / 2.2), r.uniform(-d / 2.2, d / 2.2), turn)
            furniture.clutter(b, tx + dx, ty + dy, h, r.uniform(0, 6.28))
        if r.random() < 0.6:
            dx, dy = turned(0, -d * 0.7, turn)
            furniture.chair(b, tx + dx, ty + dy, turn + math.pi + r.normal() * 0.4)


def sky(b: Builder) -> None:
    """A gradient sky and a sun."""
    r = b.rng
    grey = r.random() < 0.4
    top = (
        r.uniform(0.5, 0.85) * np.ones(3)
        if grey
        else np.array([0.2, 0.4, 0.8]) * r.uniform(0.7, 1.2)
    )
    low = np.clip(np.array([0.85, 0.87, 0.9]) * r.uniform(0.75, 1.1), 0, 1)
    numbers = [" ".join(f"{v:.3f}" for v in np.clip(c, 0, 1)) for c in (top, low)]
    b.sky = (
        f'<texture type="skybox" builtin="gradient" rgb1="{numbers[0]}" rgb2="{numbers[1]}" '
        f'width="128" height="768"/>'
    )
    a, up = r.uniform(0, 6.28), r.uniform(0.4, 1.6)
    sun = (math.cos(a), math.sin(a), -up)
    b.light((-20 * sun[0], -20 * sun[1], 30), sun, r.uniform(0.3, 0.9), shadow=not grey, sun=True)

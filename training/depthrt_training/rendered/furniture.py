"""Furniture, potted plants and clutter, each from a handful of primitives."""

from __future__ import annotations

import math

from depthrt_training.rendered.scene_builder import Builder, turned


class ObjectBuilder:
    """Adds the parts of one object in its own frame: origin on its support, rotated by yaw."""

    def __init__(self, b: Builder, x: float, y: float, z: float, yaw: float) -> None:
        self.b, self.x, self.y, self.z, self.yaw = b, x, y, z, yaw

    def at(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """From the object's frame to the scene's."""
        dx, dy = turned(x, y, self.yaw)
        return self.x + dx, self.y + dy, self.z + z

    def box(self, x: float, y: float, z: float, lx: float, ly: float, lz: float, m: str) -> None:
        """A box whose lower face's centre is x, y, z."""
        self.b.box(self.at(x, y, z + lz / 2), (lx, ly, lz), m, self.yaw)

    def tube(self, x: float, y: float, z: float, radius: float, height: float, m: str) -> None:
        """An upright cylinder standing at x, y, z."""
        self.b.add("cylinder", (radius, height / 2), self.at(x, y, z + height / 2), m)

    def ball(self, x: float, y: float, z: float, rx: float, ry: float, rz: float, m: str) -> None:
        """An ellipsoid about x, y, z."""
        self.b.add("ellipsoid", (rx, ry, rz), self.at(x, y, z), m, (0, 0, self.yaw))

    def rod(
        self, start: tuple[float, float, float], end: tuple[float, float, float], r: float, m: str
    ) -> None:
        """A capsule."""
        self.b.rod(self.at(*start), self.at(*end), r, m)


def table(b: Builder, x: float, y: float, yaw: float, lx: float, ly: float, h: float) -> None:
    """Top on four legs, or on two side panels."""
    p, top = ObjectBuilder(b, x, y, 0, yaw), b.material("wood", "plaster", "stone", "wood")
    p.box(0, 0, h - 0.03, lx, ly, 0.03, top)
    leg = b.material("wood", "stone", "plaster")
    if b.rng.random() < 0.6:
        for sx in (-1, 1):
            for sy in (-1, 1):
                p.box(sx * (lx / 2 - 0.05), sy * (ly / 2 - 0.05), 0, 0.05, 0.05, h - 0.03, leg)
    else:
        for sx in (-1, 1):
            p.box(sx * (lx / 2 - 0.03), 0, 0, 0.03, ly * 0.9, h - 0.03, leg)
        if b.rng.random() < 0.5:
            p.box(lx * 0.3, 0, 0.05, lx * 0.3, ly * 0.85, h - 0.1, leg)


def chair(b: Builder, x: float, y: float, yaw: float) -> None:
    """A kitchen chair or an office chair."""
    p, m, f = (
        ObjectBuilder(b, x, y, 0, yaw),
        b.material("wood", "stone"),
        b.material("stone", "stripes"),
    )
    h, w = b.rng.uniform(0.42, 0.5), b.rng.uniform(0.4, 0.52)
    p.box(0, 0, h - 0.05, w, w, 0.06, f)
    lean = b.rng.uniform(0, 0.12)
    for s in (-1, 1):
        p.rod((s * w * 0.42, w / 2, h), (s * w * 0.42, w / 2 + lean, h + 0.45), 0.017, m)
    p.box(0, w / 2 + lean * 0.8, h + 0.22, w * 0.9, 0.035, b.rng.uniform(0.12, 0.3), f)
    if b.rng.random() < 0.5:
        for sx in (-1, 1):
            for sy in (-1, 1):
                p.rod(
                    (sx * w * 0.42, sy * w * 0.42, h - 0.04), (sx * w / 2, sy * w / 2, 0), 0.018, m
                )
    else:
        p.tube(0, 0, 0.08, 0.03, h - 0.1, m)
        for k in range(5):
            a = k * 1.2566
            p.rod((0, 0, 0.09), (0.3 * math.cos(a), 0.3 * math.sin(a), 0.04), 0.025, m)


def shelf(b: Builder, x: float, y: float, yaw: float) -> None:
    """Boards with books and boxes, or a closed cabinet."""
    r = b.rng
    w, d, h = r.uniform(0.6, 1.6), r.uniform(0.25, 0.45), r.uniform(0.7, 2.2)
    p, m = ObjectBuilder(b, x, y, 0, yaw), b.material("wood", "plaster")
    if r.random() < 0.35:
        p.box(0, 0, 0, w, d, h, m)
        for k in range(int(r.integers(1, 4))):
            p.box((k - 1) * w / 3, -d / 2, h * 0.45, 0.02, 0.03, 0.12, b.material("stone"))
        return
    p.box(0, d / 2, 0, w, 0.02, h, m)
    for s in (-1, 1):
        p.box(s * w / 2, 0, 0, 0.025, d, h, m)
    step = r.uniform(0.26, 0.42)
    for level in range(int(h / step) + 1):
        z = min(level * step, h - 0.02)
        p.box(0, 0, z, w, d, 0.022, m)
        if level * step + 0.2 > h:
            continue
        left = -w / 2 + 0.05
        while left < w / 2 - 0.2:
            length = r.uniform(0.1, 0.45)
            if r.random() < 0.75:
                books = b.material("stripes", "stripes", "photo", "stone")
                p.box(
                    left + length / 2,
                    r.uniform(-0.04, 0.04),
                    z + 0.02,
                    min(length, w / 2 - left),
                    d * 0.7,
                    step * r.uniform(0.4, 0.85),
                    books,
                )
            left += length + r.uniform(0.0, 0.12)


def sofa(b: Builder, x: float, y: float, yaw: float) -> None:
    """A sofa or a bed."""
    r = b.rng
    p, m = ObjectBuilder(b, x, y, 0, yaw), b.material("stone", "stripes", "photo", "plaster")
    if r.random() < 0.5:
        w = r.uniform(0.8, 2.2)
        p.box(0, 0, 0.1, w, 0.85, 0.32, m)
        p.box(0, 0.38, 0.3, w, 0.2, 0.5, m)
        for s in (-1, 1):
            p.box(s * w / 2, 0, 0.1, 0.18, 0.85, 0.5, m)
        for _ in range(int(r.integers(0, 4))):
            px = r.uniform(-w / 2 + 0.2, w / 2 - 0.2)
            b.box(p.at(px, 0.2, 0.6), (0.4, 0.14, 0.4), b.material("photo", "stripes", "stone"),
                  euler=(r.uniform(-0.5, 0), 0, yaw + r.uniform(-0.3, 0.3)))  # fmt: skip
    else:
        w, long = r.uniform(0.9, 1.8), 2.0
        p.box(0, 0, 0.1, w, long, 0.2, b.material("wood", "plaster"))
        p.box(0, 0, 0.3, w * 0.98, long * 0.98, 0.2, m)
        p.box(0, long / 2, 0, w, 0.06, r.uniform(0.7, 1.1), b.material("wood", "stripes"))
        for s in (-1, 1) if w > 1.2 else (0,):
            p.ball(
                s * w / 4, long / 2 - 0.3, 0.55, w / 6, 0.2, 0.1, b.material("plaster", "stripes")
            )


def plant(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """A pot with leaves."""
    p, m, r = ObjectBuilder(b, x, y, z, 0), b.material("leaves"), b.rng
    p.tube(0, 0, 0, 0.18 * size, 0.3 * size, b.material("stone", "tiles", "plaster"))
    for _ in range(int(r.integers(8, 22))):
        a, out, up = r.uniform(0, 6.28), r.uniform(0.1, 0.5) * size, r.uniform(0.4, 1.1) * size
        tip = (out * math.cos(a), out * math.sin(a), up)
        p.rod((0, 0, 0.3 * size), tip, 0.008 * size, m)
        b.add("ellipsoid", (0.16 * size, 0.07 * size, 0.015 * size), p.at(*tip), m,
              (r.uniform(-0.7, 0.7), r.uniform(-0.7, 0.7), a))  # fmt: skip


def lamp(b: Builder, x: float, y: float, z: float, height: float) -> None:
    """Foot, rod, shade."""
    p, m = ObjectBuilder(b, x, y, z, 0), b.material("stone", "wood")
    p.tube(0, 0, 0, 0.09 * height, 0.02, m)
    p.rod((0, 0, 0), (0, 0, height), 0.012, m)
    p.tube(0, 0, height * 0.8, 0.14 * height, 0.22 * height, b.material("plaster", "stripes"))


def monitor(b: Builder, x: float, y: float, z: float, yaw: float) -> None:
    """A screen on a stand, facing -y of its own frame."""
    r = b.rng
    w = r.uniform(0.4, 0.75)
    h = w * r.uniform(0.56, 0.68)
    p, m = ObjectBuilder(b, x, y, z, yaw), b.material("stone", "plaster")
    p.box(0, 0, 0, 0.22, 0.18, 0.015, m)
    p.box(0, 0.03, 0, 0.05, 0.03, 0.2, m)
    p.box(0, 0, 0.1, w, 0.03, h, m)
    p.box(0, -0.018, 0.115, w - 0.03, 0.006, h - 0.03, b.material("print", "photo", "plaster"))


def clutter(b: Builder, x: float, y: float, z: float, yaw: float, scale: float = 1.0) -> None:
    """One small object for a desk or a shelf, at most about 0.3 m."""
    r, p = b.rng, ObjectBuilder(b, x, y, z, yaw)
    kind = int(r.integers(10))
    s = scale * r.uniform(0.7, 1.3)
    if kind == 0:  # mug
        m = b.material("plaster", "photo", "stripes", "stone")
        p.tube(0, 0, 0, 0.04 * s, 0.095 * s, m)
        p.rod((0.04 * s, 0, 0.02 * s), (0.07 * s, 0, 0.05 * s), 0.007 * s, m)
        p.rod((0.07 * s, 0, 0.05 * s), (0.04 * s, 0, 0.08 * s), 0.007 * s, m)
    elif kind == 1:  # bottle
        m = b.material("stone", "photo", "plaster", "leaves")
        p.tube(0, 0, 0, 0.036 * s, 0.16 * s, m)
        p.ball(0, 0, 0.16 * s, 0.036 * s, 0.036 * s, 0.04 * s, m)
        p.tube(0, 0, 0.17 * s, 0.014 * s, 0.07 * s, b.material("stone"))
    elif kind == 2:  # pile of books
        height = 0.0
        for _ in range(int(r.integers(1, 7))):
            t = r.uniform(0.012, 0.05) * s
            b.box(p.at(r.uniform(-0.02, 0.02), r.uniform(-0.02, 0.02), height + t / 2),
                  (0.16 * s, 0.23 * s, t), b.material("photo", "stone", "print", "plaster"),
                  yaw + r.uniform(-0.25, 0.25))  # fmt: skip
            height += t
    elif kind == 3:  # keyboard
        p.box(0, 0, 0, 0.42, 0.15, 0.02, b.material("keys"))
    elif kind == 4:  # sheet or notebook
        p.box(0, 0, 0, 0.21 * s, 0.29 * s, r.uniform(0.004, 0.015), b.material("print", "photo"))
    elif kind == 5:  # carton
        size = r.uniform(0.06, 0.3, 3) * s
        p.box(0, 0, 0, size[0], size[1], size[2], b.material("photo", "wood", "stone", "print"))
    elif kind == 6:  # ball or fruit
        q = r.uniform(0.025, 0.11) * s
        p.ball(0, 0, q, q, q, q, b.material("stone", "photo", "plaster", "stripes"))
    elif kind == 7:  # pens in a cup
        p.tube(0, 0, 0, 0.04, 0.09, b.material("stone", "plaster"))
        for _ in range(4):
            a = r.uniform(0, 6.28)
            top = (0.05 * math.cos(a), 0.05 * math.sin(a), 0.17)
            p.rod((0, 0, 0.05), top, 0.004, b.material("stripes"))
    elif kind == 8:  # an irregular solid
        radii = r.uniform(0.03, 0.12, 3) * s
        b.rock(p.at(0, 0, radii[2] * 0.8), radii, b.material("photo", "stone", "wood"),
               int(r.integers(7, 30)))  # fmt: skip
    else:  # cable
        m = b.material("stone")
        here = (0.0, 0.0, 0.006)
        for _ in range(6):
            there = (here[0] + r.uniform(-0.08, 0.08), here[1] + r.uniform(-0.08, 0.08), 0.006)
            p.rod(here, there, 0.005, m)
            here = there

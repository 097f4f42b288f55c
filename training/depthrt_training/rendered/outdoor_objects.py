"""People, trees and cars, each built from a few primitives."""

from __future__ import annotations

import math

from depthrt_training.rendered.furniture import ObjectBuilder
from depthrt_training.rendered.scene_builder import Builder


def person(b: Builder, x: float, y: float, z: float, yaw: float) -> None:
    """A standing or walking person."""
    r = b.rng
    k = r.uniform(0.85, 1.1) * (0.65 if r.random() < 0.1 else 1.0)
    p = ObjectBuilder(b, x, y, z, yaw)
    skin, top, legs = (
        b.material("plaster"),
        b.material("stripes", "stone", "photo"),
        b.material("stone"),
    )
    stride = r.uniform(0, 0.3) * k
    for s in (-1, 1):
        p.rod((s * 0.09 * k, s * stride, 0.06 * k), (s * 0.09 * k, 0, 0.85 * k), 0.075 * k, legs)
        hand = (s * r.uniform(0.24, 0.4) * k, -s * stride, r.uniform(0.8, 1.15) * k)
        p.rod((s * 0.2 * k, 0, 1.38 * k), hand, 0.048 * k, top)
    p.ball(0, 0, 1.14 * k, 0.2 * k, 0.13 * k, 0.36 * k, top)
    p.ball(0, 0, 1.62 * k, 0.095 * k, 0.11 * k, 0.13 * k, skin)
    p.ball(0, 0.02, 1.67 * k, 0.1 * k, 0.11 * k, 0.1 * k, b.material("stone", "wood"))


def tree(b: Builder, x: float, y: float, z: float, height: float) -> None:
    """A trunk and a crown of leafy lumps, or a conifer."""
    r, p = b.rng, ObjectBuilder(b, x, y, z, 0)
    bark, m = b.material("wood", "stone"), b.material("leaves")
    p.tube(0, 0, -0.3, 0.03 * height, height * 0.55 + 0.3, bark)
    if r.random() < 0.25:
        for k in range(7):
            w = height * 0.2 * (1 - k / 8)
            b.rock(p.at(0, 0, height * (0.2 + 0.11 * k)), (w, w, height * 0.09), m, 30)
        return
    spread = height * r.uniform(0.18, 0.32)
    for _ in range(int(r.integers(8, 18))):
        q = spread * r.uniform(0.35, 0.7)
        centre = p.at(r.normal() * spread * 0.6, r.normal() * spread * 0.6,
                      height * r.uniform(0.5, 0.95))  # fmt: skip
        b.rock(centre, (q, q, q * 0.8), m, 40)
    for _ in range(4):
        a = r.uniform(0, 6.28)
        end = (spread * 0.7 * math.cos(a), spread * 0.7 * math.sin(a), height * 0.65)
        p.rod((0, 0, height * 0.35), end, 0.012 * height, bark)


def car(b: Builder, x: float, y: float, yaw: float) -> None:
    """A car, van or lorry, along x of its own frame."""
    r, p = b.rng, ObjectBuilder(b, x, y, 0, yaw)
    paint, glass, dark = b.material("plaster"), b.material("stone"), b.material("stone")
    long, w, h = r.uniform(3.8, 4.8), r.uniform(1.65, 1.9), r.uniform(0.6, 0.75)
    if r.random() < 0.2:
        long, h = r.uniform(5, 9), r.uniform(1.6, 2.8)
    p.box(0, 0, 0.25, long, w, h, paint)
    if h < 1:
        cabin = long * r.uniform(0.45, 0.65)
        p.box(-0.1 * long, 0, 0.25 + h, cabin, w * 0.86, 0.5, glass)
        p.box(-0.1 * long, 0, 0.75 + h, cabin * 0.8, w * 0.8, 0.06, paint)
    for sx in (-1, 1):
        for sy in (-1, 1):
            b.add("cylinder", (0.32, 0.11), p.at(sx * long * 0.31, sy * (w / 2 - 0.08), 0.32), dark,
                  (math.pi / 2, 0, yaw))  # fmt: skip

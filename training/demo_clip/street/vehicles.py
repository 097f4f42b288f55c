"""Parked cars and a bicycle; a car stands on z = 0 and looks towards +x."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import blender.materials as m
import bpy
from blender.mesh import Builder
from mathutils import Matrix, Vector

AXLES = (-1.25, 1.3)
WHEEL = 0.32


@dataclass(frozen=True)
class CarShape:
    """The side view of a car: bonnet, belt and roof in metres."""

    bonnet: float = 0.8  # height at the front edge
    belt: float = 0.96  # height of the bottom of the windows
    roof: float = 1.46
    screen: tuple[float, float] = (1.05, 0.3)  # foot and head of the windscreen
    tail: tuple[float, float] = (-1.95, -1.6)  # foot and head of the rear window
    width: float = 1.74


HATCHBACK = CarShape()
SALOON = CarShape(0.76, 0.93, 1.4, (0.95, 0.15), (-1.5, -0.95))
VAN = CarShape(0.95, 1.12, 1.95, (1.5, 0.95), (-2.03, -1.98), 1.84)


def _arch(centre: float) -> list[tuple[float, float]]:
    radius = WHEEL + 0.07
    steps = [math.pi * (0.94 - 0.88 * i / 8) for i in range(9)]
    return [(centre + radius * math.cos(a), WHEEL + radius * math.sin(a)) for a in steps]


def _outline(shape: CarShape) -> list[tuple[float, float]]:
    """The lower body, from the rear sill round to the tail."""
    rear, front = AXLES
    return [
        (-2.04, 0.3),
        (-1.95, 0.24),
        *_arch(rear),
        *_arch(front),
        (2.0, 0.24),
        (2.12, 0.34),
        (2.14, 0.56),
        (2.06, shape.bonnet - 0.08),
        (1.9, shape.bonnet),
        (shape.screen[0], shape.belt),
        (0.0, shape.belt + 0.02),
        (shape.tail[0], shape.belt),
        (-2.04, shape.belt - 0.06),
        (-2.12, 0.62),
    ]


def build_car(name: str, paint: str, shape: CarShape = HATCHBACK) -> bpy.types.Object:
    """Build one car at the origin."""
    b = Builder(name)
    body, half = m.car_paint(paint), shape.width / 2
    outline = _outline(shape)
    middle = Vector((0.0, 0.6))
    loops = []
    for side, inset in ((half, 0.93), (half - 0.07, 1.0), (-half + 0.07, 1.0), (-half, 0.93)):
        loops.append(
            [
                (
                    middle[0] + (x - middle[0]) * (0.5 + inset / 2),
                    side,
                    z if z < 0.75 else 0.75 + (z - 0.75) * inset,
                )
                for x, z in outline
            ]
        )
    b.loft(loops, body)
    _cabin(b, shape, body)
    _details(b, shape, half)
    b.box((0, 0, 0.42), (3.6, shape.width - 0.35, 0.3), m.plain("141414", 0.9))
    for x in AXLES:
        for side in (-1, 1):
            _wheel(b, x, side * (half - 0.02), side)
    return b.build(bevel=0.025, smooth_deg=40)


def _ring(shape: CarShape, t: float, grow: float) -> list[tuple[float, float, float]]:
    """The cabin's section at height ``t`` between belt and roof, anticlockwise."""
    front = shape.screen[0] + (shape.screen[1] - shape.screen[0]) * t + grow
    back = shape.tail[0] + (shape.tail[1] - shape.tail[0]) * t - grow
    half = shape.width / 2 - 0.09 - 0.14 * t + grow
    z = shape.belt - 0.02 + (shape.roof - shape.belt) * t
    return [(back, -half, z), (front, -half * 0.97, z), (front, half * 0.97, z), (back, half, z)]


def _cabin(b: Builder, shape: CarShape, body: bpy.types.Material) -> None:
    b.loft([_ring(shape, 0.0, -0.01), _ring(shape, 0.9, -0.01)], m.window_glass(False))
    b.loft([_ring(shape, 0.86, 0.012), _ring(shape, 0.95, 0.0), _ring(shape, 1.0, -0.12)], body)
    low, high = _ring(shape, 0.0, 0.0), _ring(shape, 0.9, 0.0)
    for start, end in zip(low, high, strict=True):
        b.tube(start, end, 0.05, body, 0.04, sides=8)
    for side in (0, 1):
        first, second = (low[0], low[1]) if side == 0 else (low[3], low[2])
        top_a, top_b = (high[0], high[1]) if side == 0 else (high[3], high[2])
        for share in (0.33, 0.62):
            start, end = Vector(first).lerp(second, share), Vector(top_a).lerp(top_b, share)
            pillar = body if shape.roof > 1.7 and share < 0.5 else m.plain("151515", 0.4)
            b.tube(start, end, 0.035, pillar, sides=8)
    if shape.roof > 1.7:  # a van: closed sides behind the door
        for side in (-1, 1):
            panel = [
                Vector(low[0 if side < 0 else 3]),
                Vector(low[1 if side < 0 else 2]),
                Vector(high[1 if side < 0 else 2]),
                Vector(high[0 if side < 0 else 3]),
            ]
            corners = [
                panel[0],
                panel[0].lerp(panel[1], 0.6),
                panel[3].lerp(panel[2], 0.6),
                panel[3],
            ]
            b.face([c + Vector((0, side * 0.012, 0)) for c in corners], body)


def _details(b: Builder, shape: CarShape, half: float) -> None:
    dark, chrome = m.plain("121314", 0.5), m.plain("c8c8c8", 0.2, 1.0)
    lens, red = m.lamp("e9edf0", 0.4), m.lamp("a01814", 0.25)
    for side in (-1, 1):
        b.box((2.06, side * (half - 0.3), shape.bonnet - 0.16), (0.12, 0.34, 0.15), lens)
        b.box((-2.07, side * (half - 0.16), shape.belt - 0.2), (0.1, 0.2, 0.3), red)
        b.box(
            (shape.screen[0] - 0.2, side * (half + 0.06), shape.belt + 0.08), (0.1, 0.2, 0.13), dark
        )
        b.box((0.0, side * half, 0.28), (2.0, 0.03, 0.1), dark)
        for x in (0.95, -0.1, -0.95):
            b.box((x, side * (half + 0.001), 0.64), (0.012, 0.012, 0.56), dark)
        for x in (0.05, -0.8):
            b.box((x, side * (half + 0.015), shape.belt - 0.14), (0.17, 0.03, 0.035), chrome)
    b.box((2.13, 0, 0.56), (0.05, 0.8, 0.18), dark)
    for x in (2.12, -2.1):
        b.box((x, 0, 0.38), (0.1, shape.width - 0.2, 0.13), dark)
        b.box((x * 1.012, 0, 0.44), (0.06, 0.5, 0.11), m.plain("e6e2cf", 0.5))


def _wheel(b: Builder, x: float, y: float, side: int) -> None:
    turn = Matrix.Rotation(math.copysign(math.pi / 2, -side), 3, "X")
    tyre = [
        (0.2, -0.2),
        (WHEEL - 0.02, -0.2),
        (WHEEL, -0.16),
        (WHEEL, -0.02),
        (WHEEL - 0.02, 0.02),
        (0.22, 0.02),
    ]
    b.lathe(tyre, (x, y, WHEEL), m.plain("171717", 0.85), 24, turn)
    rim = [(0.215, 0.0), (0.215, 0.025), (0.19, 0.015), (0.08, 0.03), (0.05, 0.045)]
    metal = m.plain("a9acae", 0.3, 0.9)
    b.lathe(rim, (x, y, WHEEL), metal, 20, turn)
    for i in range(5):
        a = 2 * math.pi * i / 5
        spot = (x + 0.135 * math.cos(a), y + side * 0.02, WHEEL + 0.135 * math.sin(a))
        b.box(spot, (0.075, 0.02, 0.075), m.plain("171717", 0.85), Matrix.Rotation(-a, 3, "Y"))


def build_bicycle(name: str, paint: str) -> bpy.types.Object:
    """A bicycle in the plane y = 0, front towards +x."""
    b = Builder(name)
    frame, dark = m.car_paint(paint), m.plain("161616", 0.7)
    points = {
        "rear": (-0.5, 0, 0.34),
        "front": (0.55, 0, 0.34),
        "crank": (-0.05, 0, 0.3),
        "seat": (-0.2, 0, 0.82),
        "head": (0.36, 0, 0.86),
        "saddle": (-0.24, 0, 0.98),
        "bar": (0.33, 0, 1.02),
    }
    for hub in ("rear", "front"):
        cx, _, cz = points[hub]
        rim = [
            (cx + 0.33 * math.cos(a), 0.0, cz + 0.33 * math.sin(a))
            for a in (2 * math.pi * i / 28 for i in range(29))
        ]
        for start, end in pairwise(rim):
            b.tube(start, end, 0.02, dark, sides=6)
        for start in rim[:-1:2]:
            b.tube(start, points[hub], 0.003, m.plain("b8b8b8", 0.3, 1.0), sides=4)
    for pair in ("rear crank", "rear seat", "crank seat", "crank head", "seat head", "head front"):
        first, second = pair.split()
        b.tube(points[first], points[second], 0.019, frame, sides=8)
    b.tube(points["seat"], points["saddle"], 0.014, dark)
    b.tube(points["head"], points["bar"], 0.014, dark)
    b.box((-0.24, 0, 1.0), (0.26, 0.13, 0.05), m.plain("5a3620", 0.6))
    b.tube((0.33, -0.28, 1.03), (0.33, 0.28, 1.03), 0.014, dark)
    b.box((0.62, 0, 0.88), (0.3, 0.3, 0.22), m.timber("9a7445"))
    return b.build()

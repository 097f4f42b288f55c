"""Street furniture and people; every part stands on z = 0 at the origin."""

from __future__ import annotations

import math
from itertools import pairwise

import blender.materials as m
import bpy
from blender.mesh import Builder
from mathutils import Matrix, Vector

IRON = "23292a"


def build_lamp_post(name: str) -> bpy.types.Object:
    """A cast-iron lamp post with a lantern."""
    b = Builder(name)
    iron = m.plain(IRON, 0.45, 0.4)
    foot = [
        (0.2, 0),
        (0.2, 0.12),
        (0.14, 0.2),
        (0.11, 0.75),
        (0.14, 0.8),
        (0.07, 0.95),
        (0.055, 3.3),
        (0.09, 3.35),
    ]
    b.lathe([*foot, (0.05, 3.42), (0.04, 3.7)], (0, 0, 0), iron, 12)
    b.box((0, 0, 3.25), (0.7, 0.035, 0.035), iron)
    b.lathe([(0.1, 3.7), (0.2, 4.2)], (0, 0, 0), m.lamp("fff0cf", 0.5), 6)
    b.lathe(
        [(0.27, 4.2), (0.22, 4.28), (0.1, 4.42), (0.03, 4.46), (0.03, 4.58)], (0, 0, 0), iron, 6
    )
    for i in range(6):
        a = 2 * math.pi * i / 6
        c, s = math.cos(a), math.sin(a)
        b.tube((0.105 * c, 0.105 * s, 3.7), (0.205 * c, 0.205 * s, 4.2), 0.014, iron, sides=6)
    return b.build()


def build_bench(name: str) -> bpy.types.Object:
    """A slatted bench along x that faces -y."""
    b = Builder(name)
    wood, iron = m.timber("8a5a34"), m.plain(IRON, 0.5, 0.4)
    for i in range(4):
        b.box((0, -0.2 + 0.12 * i, 0.45), (1.6, 0.1, 0.04), wood)
    for i in range(3):
        b.box(
            (0, 0.26 + 0.035 * i, 0.6 + 0.13 * i),
            (1.6, 0.035, 0.11),
            wood,
            Matrix.Rotation(-0.25, 3, "X"),
        )
    for x in (-0.7, 0.7):
        b.tube((x, -0.2, 0), (x, -0.24, 0.44), 0.03, iron)
        b.tube((x, 0.24, 0), (x, 0.22, 0.44), 0.03, iron)
        b.tube((x, 0.22, 0.42), (x, 0.36, 0.95), 0.028, iron)
        b.tube((x, -0.24, 0.64), (x, 0.28, 0.66), 0.028, iron)
        b.tube((x, -0.24, 0.44), (x, -0.24, 0.64), 0.025, iron)
    return b.build(bevel=0.008)


def build_bin(name: str) -> bpy.types.Object:
    """A litter bin of upright slats with a lid."""
    b = Builder(name)
    green = m.plain("2f4a3c", 0.45, 0.2)
    b.lathe([(0.22, 0.05), (0.24, 0.8)], (0, 0, 0), m.plain("141816", 0.8), 16)
    for i in range(18):
        a = 2 * math.pi * i / 18
        turn = Matrix.Rotation(a, 3, "Z")
        b.box((0.255 * math.cos(a), 0.255 * math.sin(a), 0.43), (0.02, 0.06, 0.8), green, turn)
    b.lathe([(0.29, 0.82), (0.29, 0.88), (0.2, 0.98), (0.05, 1.02)], (0, 0, 0), green, 18)
    b.lathe([(0.28, 0.02), (0.28, 0.07)], (0, 0, 0), green, 18)
    return b.build(bevel=0.006)


def build_barrel(name: str) -> bpy.types.Object:
    """An oak barrel with iron hoops."""
    b = Builder(name)
    bulge = [(0.26 + 0.075 * math.sin(math.pi * i / 8), 0.92 * i / 8) for i in range(9)]
    b.lathe([*bulge, (0.235, 0.92), (0.23, 0.88)], (0, 0, 0), m.timber("8c6239"), 22)
    iron = m.plain("3b3835", 0.45, 0.8)
    for share in (0.04, 0.22, 0.7, 0.9):
        r = 0.268 + 0.075 * math.sin(math.pi * (share + 0.03))
        b.lathe([(r, 0.92 * share), (r, 0.92 * share + 0.055)], (0, 0, 0), iron, 22)
    return b.build()


def build_crate(name: str, goods: str) -> bpy.types.Object:
    """A slatted crate of fruit."""
    b = Builder(name)
    wood = m.timber("b08850")
    for z in (0.05, 0.16, 0.27):
        for sign in (-1, 1):
            b.box((0, sign * 0.19, z), (0.58, 0.018, 0.085), wood)
            b.box((sign * 0.28, 0, z), (0.018, 0.38, 0.085), wood)
    b.box((0, 0, 0.12), (0.54, 0.36, 0.2), m.plain("2a2018", 0.9))
    for i in range(6):
        for j in range(4):
            spot = (-0.23 + 0.092 * i, -0.138 + 0.092 * j, 0.255 + 0.02 * math.sin(5 * i + 3 * j))
            ball = [
                (0.048 * math.sin(math.pi * k / 6) + 0.001, -0.048 * math.cos(math.pi * k / 6))
                for k in range(7)
            ]
            b.lathe(ball, spot, m.plain(goods, 0.4), 8)
    return b.build()


def build_planter(name: str) -> bpy.types.Object:
    """A terracotta pot; a shrub is set on top of it."""
    b = Builder(name)
    b.lathe(
        [(0.2, 0), (0.3, 0.42), (0.34, 0.42), (0.34, 0.52), (0.29, 0.52), (0.28, 0.44)],
        (0, 0, 0),
        m.plain("a65a38", 0.8),
        20,
    )
    return b.build(bevel=0.01)


def build_bollard(name: str) -> bpy.types.Object:
    """A short iron post."""
    b = Builder(name)
    shape = [
        (0.09, 0),
        (0.09, 0.1),
        (0.06, 0.14),
        (0.055, 0.75),
        (0.08, 0.78),
        (0.08, 0.83),
        (0.06, 0.9),
        (0.01, 0.93),
    ]
    b.lathe(shape, (0, 0, 0), m.plain(IRON, 0.4, 0.4), 14)
    return b.build()


def build_table(name: str) -> bpy.types.Object:
    """A round café table with cups."""
    b = Builder(name)
    iron = m.plain(IRON, 0.5, 0.4)
    b.lathe([(0.22, 0), (0.2, 0.03), (0.03, 0.05), (0.03, 0.7)], (0, 0, 0), iron, 14)
    b.lathe([(0.36, 0.7), (0.37, 0.72), (0.36, 0.74)], (0, 0, 0), m.stone("d9d2c4"), 24)
    for x, y in ((-0.13, 0.08), (0.15, -0.06)):
        b.lathe(
            [(0.06, 0.745), (0.06, 0.75), (0.03, 0.755), (0.042, 0.82)],
            (x, y, 0),
            m.plain("f2efe6", 0.3),
            12,
        )
    return b.build()


def build_chair(name: str, paint: str) -> bpy.types.Object:
    """A café chair that faces -y."""
    b = Builder(name)
    iron, seat = m.plain(IRON, 0.5, 0.4), m.timber(paint)
    for x in (-0.19, 0.19):
        b.tube((x * 1.1, -0.2, 0), (x, -0.17, 0.45), 0.014, iron, sides=8)
        b.tube((x * 1.1, 0.24, 0), (x, 0.18, 0.45), 0.014, iron, sides=8)
        b.tube((x, 0.18, 0.43), (x, 0.26, 0.9), 0.014, iron, sides=8)
    for i in range(5):
        b.box((0, -0.17 + 0.085 * i, 0.46), (0.42, 0.07, 0.025), seat)
    for i in range(3):
        b.box((0, 0.215 + 0.018 * i, 0.62 + 0.11 * i), (0.42, 0.02, 0.07), seat)
    return b.build()


def build_parasol(name: str, colour: str) -> bpy.types.Object:
    """A café parasol with panels of two colours."""
    b = Builder(name)
    b.lathe([(0.28, 0), (0.28, 0.06), (0.05, 0.1)], (0, 0, 0), m.stone("8d867a"), 16)
    b.tube((0, 0, 0), (0, 0, 2.65), 0.024, m.timber("a37a4a"))
    rim = [
        Vector((1.35 * math.cos(a), 1.35 * math.sin(a), 2.12))
        for a in (2 * math.pi * i / 8 for i in range(8))
    ]
    top, drop = Vector((0, 0, 2.62)), Vector((0, 0, -0.17))
    for i, corner in enumerate(rim):
        after = rim[(i + 1) % 8]
        cloth = m.plain(colour if i % 2 == 0 else "efe6d2", 0.85)
        b.face([corner, after, top], cloth)
        b.face([corner + drop, after + drop, after, corner], cloth)
    return b.build()


def build_board(name: str) -> bpy.types.Object:
    """A chalk board on the pavement that faces -y."""
    b = Builder(name)
    for sign in (-1, 1):
        turn = Matrix.Rotation(sign * -0.2, 3, "X")
        b.box((0, sign * 0.13, 0.5), (0.6, 0.03, 1.02), m.timber("7a4a2a"), turn)
        b.box((0, sign * 0.148, 0.53), (0.5, 0.02, 0.84), m.plain("1d2422", 0.8), turn)
    turn = Matrix.Rotation(0.2, 3, "X")
    for i, wide in enumerate((0.36, 0.26, 0.3, 0.2, 0.28)):
        z = 0.82 - 0.12 * i
        b.box((0, -0.162 + 0.2 * (z - 0.53), z), (wide, 0.008, 0.035), m.plain("e6e2d4", 0.9), turn)
    return b.build()


def build_bunting(name: str, start: Vector, end: Vector, sag: float) -> bpy.types.Object:
    """A line of small flags between two points."""
    b = Builder(name)
    count = 26
    line = [
        start.lerp(end, i / count) - Vector((0, 0, sag * math.sin(math.pi * i / count)))
        for i in range(count + 1)
    ]
    colours = ("b8412f", "e3b64a", "efe8d8", "3f6c86", "5f8248")
    for i, (first, second) in enumerate(pairwise(line)):
        b.tube(first, second, 0.008, m.plain("2a2a2a"), sides=4)
        tip = first.lerp(second, 0.5) - Vector((0.0, 0.05 * math.sin(i), 0.34))
        edges = [first.lerp(second, 0.15), first.lerp(second, 0.85)]
        b.face([edges[0], tip, edges[1]], m.plain(colours[i % 5], 0.9))
    return b.build()


def copy_to(item: bpy.types.Object, matrix: Matrix) -> None:
    """Another instance of an object that shares its mesh."""
    other = item.copy()
    other.matrix_world = matrix
    bpy.context.scene.collection.objects.link(other)

"""Town houses: walls with real openings, windows, shops, awnings and roofs.

A house is described with its front in the plane y = 0, looking towards -y, centred on x = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import blender.materials as m
import bpy
from blender.mesh import Builder
from mathutils import Matrix

REVEAL = 0.2  # how far windows and doors sit behind the wall, metres


@dataclass(frozen=True)
class House:
    """What one house looks like."""

    width: float
    floors: int
    wall: bpy.types.Material
    trim: bpy.types.Material
    roof: bpy.types.Material
    paint: str  # doors, shutters, shop front
    shop: str = ""  # the name over the shop; none means a dwelling
    awning: str = ""  # colour of the stripes
    shutters: bool = False
    storey: float = 2.9
    depth: float = 8.0

    @property
    def ground(self) -> float:
        """Height of the ground floor in metres."""
        return self.storey + 0.5

    @property
    def eaves(self) -> float:
        """Height of the eaves in metres."""
        return self.ground + self.storey * (self.floors - 1) + 0.25


@dataclass(frozen=True)
class Opening:
    """A hole in the front: a rectangle in metres, and what fills it."""

    x0: float
    x1: float
    z0: float
    z1: float
    kind: str  # window, door or shop


def build_house(name: str, house: House, rng: Random) -> bpy.types.Object:
    """Build a house at the origin."""
    b = Builder(name)
    holes = _openings(house)
    _front_wall(b, house, holes)
    for hole in holes:
        fill = {"window": _window, "door": _door, "shop": _shop_window}[hole.kind]
        fill(b, house, hole, rng)
    _trim(b, house)
    _roof(b, house, rng)
    if house.shop:
        _sign(b, house)
    if house.awning:
        _awning(b, house)
    return b.build()


def _openings(house: House) -> list[Opening]:
    half = house.width / 2
    holes: list[Opening] = []
    columns = max(2, round(house.width / 2.5))
    pitch = house.width / columns
    centres = [-half + pitch * (i + 0.5) for i in range(columns)]
    for floor in range(1, house.floors):
        base = house.ground + house.storey * (floor - 1) + 0.6
        tall = 1.7 if floor < house.floors - 1 or house.floors == 2 else 1.35
        holes += [Opening(c - 0.52, c + 0.52, base, base + tall, "window") for c in centres]
    door = half - 1.0
    holes.append(Opening(door - 0.5, door + 0.5, 0.12, 2.55, "door"))
    if house.shop:
        holes.append(Opening(-half + 0.5, door - 0.85, 0.12, 2.65, "shop"))
    else:
        holes += [Opening(c - 0.55, c + 0.55, 1.0, 2.6, "window") for c in centres[:-1]]
    return holes


def _front_wall(b: Builder, house: House, holes: list[Opening]) -> None:
    half, top, back = house.width / 2, house.eaves, house.depth
    xs = sorted({-half, half, *(h.x0 for h in holes), *(h.x1 for h in holes)})
    zs = sorted({0.0, top, *(h.z0 for h in holes), *(h.z1 for h in holes)})
    for x0, x1 in pairwise(xs):
        for z0, z1 in pairwise(zs):
            x, z = (x0 + x1) / 2, (z0 + z1) / 2
            if not any(h.x0 < x < h.x1 and h.z0 < z < h.z1 for h in holes):
                b.face([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], house.wall)
    for h in holes:
        rim = [(h.x0, h.z0), (h.x1, h.z0), (h.x1, h.z1), (h.x0, h.z1)]
        for (xa, za), (xb, zb) in zip(rim, rim[1:] + rim[:1], strict=True):
            b.face([(xa, 0, za), (xa, REVEAL, za), (xb, REVEAL, zb), (xb, 0, zb)], house.trim)
    for x in (-half, half):
        b.face([(x, 0, 0), (x, back, 0), (x, back, top), (x, 0, top)], house.wall)
    b.face([(half, back, 0), (-half, back, 0), (-half, back, top), (half, back, top)], house.wall)


def _frame(b: Builder, h: Opening, bar: float, material: bpy.types.Material, rails: int) -> None:
    """The frame of an opening, with an upright in the middle and some cross rails."""
    y, width, height = REVEAL - 0.05, h.x1 - h.x0, h.z1 - h.z0
    cx, cz = (h.x0 + h.x1) / 2, (h.z0 + h.z1) / 2
    for x in (h.x0 + bar / 2, cx, h.x1 - bar / 2):
        b.box((x, y, cz), (bar, 0.07, height), material)
    for z in (h.z0 + bar / 2, h.z1 - bar / 2):
        b.box((cx, y, z), (width, 0.07, bar), material)
    for i in range(1, rails + 1):
        b.box((cx, y, h.z0 + height * i / (rails + 1)), (width, 0.05, bar * 0.6), material)


def _pane(b: Builder, h: Opening, curtain: bool) -> None:
    y = REVEAL - 0.02
    corners = [(h.x0, y, h.z0), (h.x1, y, h.z0), (h.x1, y, h.z1), (h.x0, y, h.z1)]
    b.face(corners, m.window_glass(curtain))


def _window(b: Builder, house: House, h: Opening, rng: Random) -> None:
    cx, width = (h.x0 + h.x1) / 2, h.x1 - h.x0
    _pane(b, h, rng.random() < 0.4)
    _frame(b, h, 0.075, m.plain("e4ded0", 0.5), 2)
    b.box((cx, -0.05, h.z0 - 0.05), (width + 0.28, 0.22, 0.1), house.trim)
    b.box((cx, -0.02, h.z1 + 0.11), (width + 0.3, 0.1, 0.22), house.trim)
    if house.shutters:
        cz, tall = (h.z0 + h.z1) / 2, h.z1 - h.z0
        for sign in (-1, 1):
            x = cx + sign * (width / 2 + 0.29)
            b.box((x, -0.03, cz), (0.5, 0.05, tall), m.timber(house.paint))
            for i in range(int(tall / 0.13)):
                tilt = Matrix.Rotation(0.6, 3, "X")
                z = h.z0 + 0.1 + 0.13 * i
                b.box((x, -0.065, z), (0.4, 0.02, 0.09), m.timber(house.paint), tilt)
    if h.z0 > 2.0 and rng.random() < 0.4:
        b.box((cx, -0.2, h.z0 + 0.05), (width, 0.22, 0.2), m.plain("8a4b32", 0.8))
        for _ in range(26):
            x, z = cx + (rng.random() - 0.5) * width, h.z0 + 0.18 + rng.random() * 0.2
            turn = Matrix.Rotation(rng.random() * 3, 3, "Z") @ Matrix.Rotation(rng.random(), 3, "X")
            leaf = m.plain(rng.choice(["c7303f", "d9607f", "3f6b2c", "4f7a33", "e7c14a"]), 0.7)
            b.box((x, -0.22 + rng.uniform(-0.1, 0.08), z), (0.1, 0.1, 0.1), leaf, turn)


def _door(b: Builder, house: House, h: Opening, rng: Random) -> None:
    cx, wood = (h.x0 + h.x1) / 2, m.timber(house.paint)
    b.box((cx, REVEAL - 0.02, (h.z0 + 2.1) / 2), (1.0, 0.06, 2.1 - h.z0), wood)
    for x in (-0.23, 0.23):
        for z, tall in ((0.6, 0.7), (1.5, 0.8)):
            b.box((cx + x, REVEAL - 0.06, z), (0.32, 0.03, tall), wood)
    _pane(b, Opening(h.x0, h.x1, 2.1, h.z1, "window"), False)
    b.box((cx, REVEAL - 0.05, 2.12), (1.0, 0.08, 0.07), m.plain("e4ded0", 0.5))
    b.box((cx + 0.38, REVEAL - 0.1, 1.1), (0.04, 0.08, 0.16), m.plain("c9a24a", 0.3, 1.0))
    b.box((cx, -0.15, 0.07), (1.3, 0.5, 0.14), m.stone("9a9084"))
    b.box((cx, -0.03, h.z1 + 0.14), (1.35, 0.14, 0.26), house.trim)
    for sign in (-1, 1):
        b.box((cx + sign * 0.6, -0.02, h.z1 / 2), (0.2, 0.1, h.z1), house.trim)


def _shop_window(b: Builder, house: House, h: Opening, rng: Random) -> None:
    wood, width = m.timber(house.paint), h.x1 - h.x0
    _pane(b, h, False)
    cx, y = (h.x0 + h.x1) / 2, REVEAL - 0.07
    b.box((cx, y - 0.04, 0.42), (width, 0.14, 0.6), wood)
    for i in range(4):
        b.box((h.x0 + width * i / 3, y, 1.4), (0.1, 0.12, 2.5), wood)
    b.box((cx, y, 2.25), (width, 0.1, 0.07), wood)
    for x in (h.x0 - 0.2, h.x1 + 0.2):
        b.box((x, -0.06, 1.45), (0.3, 0.16, 2.9), wood)
    for i in range(14):  # goods on the sill behind the glass, seen as painted shapes
        x = h.x0 + 0.2 + (width - 0.4) * i / 13
        tall = rng.uniform(0.12, 0.4)
        colour = rng.choice(["a8523a", "d0b070", "5d7a6a", "d8d0c0", "7a3040", "375a7a"])
        b.box((x, REVEAL - 0.05, 0.74 + tall / 2), (0.16, 0.06, tall), m.plain(colour, 0.6))


def _trim(b: Builder, house: House) -> None:
    half, trim = house.width / 2, house.trim
    b.box((0, -0.03, 0.25), (house.width, 0.1, 0.5), m.stone("8b8276"))
    b.box((0, -0.06, house.ground + 0.05), (house.width, 0.16, 0.16), trim)
    b.box((0, -0.1, house.eaves - 0.12), (house.width, 0.3, 0.26), trim)
    b.box((0, -0.04, house.eaves - 0.42), (house.width, 0.12, 0.16), trim)
    for i in range(int(house.eaves / 0.4)):
        wide = 0.42 if i % 2 else 0.28
        for sign in (-1, 1):
            x = sign * (half - wide / 2)
            b.box((x, -0.02, 0.2 + 0.4 * i), (wide, 0.08, 0.36), trim)
    pipe = m.plain("4c5250", 0.4, 0.6)
    b.tube((half - 0.1, -0.12, 0.1), (half - 0.1, -0.12, house.eaves), 0.05, pipe, sides=8)
    b.tube(
        (-half, -0.36, house.eaves + 0.02), (half, -0.36, house.eaves + 0.02), 0.08, pipe, sides=8
    )


def _roof(b: Builder, house: House, rng: Random) -> None:
    half, base, back = house.width / 2, house.eaves, house.depth
    ridge, over = base + back / 2 * 0.8, 0.32
    low = base - over * 0.8 * 0.3
    x0, x1, mid = -half, half, back / 2
    b.face([(x0, -over, low), (x1, -over, low), (x1, mid, ridge), (x0, mid, ridge)], house.roof)
    b.face([(x1, back, base), (x0, back, base), (x0, mid, ridge), (x1, mid, ridge)], house.roof)
    for x in (x0, x1):
        b.face([(x, 0, base), (x, back, base), (x, mid, ridge)], house.wall)
    b.tube((x0, mid, ridge), (x1, mid, ridge), 0.12, house.roof, sides=8)
    for x in (x0 + 0.5, x1 - 0.6)[: rng.choice((1, 1, 2))]:
        b.box((x, mid - 0.5, ridge + 0.3), (0.65, 0.9, 2.0), m.brick("8a4a38"))
        for dy in (-0.25, 0.2):
            b.lathe(
                [(0.13, 0), (0.1, 0.45)], (x, mid - 0.5 + dy, ridge + 1.3), m.plain("a0563a"), 8
            )
    for i in range(max(1, int(house.width / 3.2)) if rng.random() < 0.65 else 0):
        x = (i + 0.5) * house.width / max(1, int(house.width / 3.2)) - half
        z, y = base + 0.65, 0.75
        b.box((x, y + 0.8, z + 0.55), (1.2, 1.6, 1.3), house.wall)
        _dormer_window(b, x, y, z)
        for sign in (-1, 1):
            eave, top = (x + sign * 0.8, z + 1.1), (x, z + 1.75)
            b.face(
                [
                    (eave[0], y - 0.2, eave[1]),
                    (eave[0], y + 2, eave[1]),
                    (top[0], y + 2, top[1]),
                    (top[0], y - 0.2, top[1]),
                ],
                house.roof,
            )
        b.face(
            [(x - 0.7, y - 0.02, z + 1.18), (x + 0.7, y - 0.02, z + 1.18), (x, y - 0.02, z + 1.73)],
            house.wall,
        )


def _dormer_window(b: Builder, x: float, y: float, z: float) -> None:
    b.box((x, y - 0.02, z + 0.55), (0.8, 0.06, 1.0), m.plain("e4ded0", 0.5))
    for sign in (-1, 1):
        b.box((x + sign * 0.18, y - 0.05, z + 0.55), (0.3, 0.04, 0.86), m.window_glass(False))


def _sign(b: Builder, house: House) -> None:
    half = house.width / 2
    x0, x1 = -half + 0.15, half - 1.7
    b.box(((x0 + x1) / 2, -0.1, 2.98), (x1 - x0, 0.2, 0.46), m.timber(house.paint))
    b.box(((x0 + x1) / 2, -0.14, 3.24), (x1 - x0 + 0.1, 0.32, 0.08), m.timber(house.paint))


def sign_letters(house: House, matrix: Matrix) -> None:
    """The shop's name on its board, as raised letters."""
    curve = bpy.data.curves.new(house.shop, "FONT")
    curve.body, curve.size, curve.extrude = house.shop, 0.4, 0.015
    curve.align_x, curve.align_y = "CENTER", "CENTER"
    curve.materials.append(m.plain("efe2bd", 0.4))
    item = bpy.data.objects.new(house.shop, curve)
    front = Matrix.Translation(((0.15 - 1.7) / 2, -0.215, 2.98)) @ Matrix.Rotation(
        math.pi / 2, 4, "X"
    )
    item.matrix_world = matrix @ front
    bpy.context.scene.collection.objects.link(item)


def _awning(b: Builder, house: House) -> None:
    half = house.width / 2
    x0, x1, reach, top, low = -half + 0.3, half - 1.75, 1.35, 2.85, 2.3
    stripes = 2 * round((x1 - x0) / 0.5) + 1
    step = (x1 - x0) / stripes
    for i in range(stripes):
        cloth = m.plain(house.awning if i % 2 == 0 else "efe6d2", 0.85)
        a, z = x0 + i * step, x0 + (i + 1) * step
        b.face([(a, -reach, low), (z, -reach, low), (z, -0.12, top), (a, -0.12, top)], cloth)
        arc = [
            (a + step * k / 6, -reach, low - 0.2 - 0.05 * math.sin(math.pi * k / 6))
            for k in range(7)
        ]
        b.face([*arc, (z, -reach, low), (a, -reach, low)], cloth)
    iron = m.plain("3a3a38", 0.5, 0.5)
    for x in (x0 + 0.05, x1 - 0.05):
        b.tube((x, -0.1, 2.2), (x, -reach, low), 0.018, iron, sides=6)

"""The street of the demo clip: the ground, the houses and everything on the pavement.

Metres throughout. The street runs along +y and bends to the left; a place in it is (s, t): metres
along its middle line and metres to the right of it.
"""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import blender.materials as m
import bpy
import light
import view
from blender.mesh import Builder
from mathutils import Matrix, Vector
from street import buildings, nature, people, props, vehicles

SEED = 7
ROAD, FACADE, KERB = 3.3, 6.3, 0.12  # half widths of road and street, height of the kerb


def street_point(s: float, t: float, z: float = 0.0) -> Vector:
    """The world position of a place in the street."""
    late = max(0.0, s - 24.0)
    slope = -0.012 * late
    across = Vector((1.0, -slope, 0.0)).normalized()
    return Vector((-0.006 * late * late, s, z)) + across * t


def place(s: float, t: float, turn_deg: float = 0.0, z: float = 0.0) -> Matrix:
    """A frame in the street: +y along it, +x to its right, turned about the vertical."""
    heading = math.atan(0.012 * max(0.0, s - 24.0))
    turn = Matrix.Rotation(heading + math.radians(turn_deg), 4, "Z")
    return Matrix.Translation(street_point(s, t, z)) @ turn


def build_scene() -> bpy.types.Object:
    """Build everything in an empty file and return the camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    rng = Random(SEED)
    _ground()
    _houses(rng)
    _plants(rng)
    _traffic()
    _furniture(rng)
    _people()
    _background()
    light.add_light()
    return view.add_camera()


def _ground() -> None:
    b = Builder("street")

    def strip(
        t0: float, t1: float, z: float, what: bpy.types.Material, s0: float = -24, s1: float = 100
    ) -> None:
        count = max(1, round((s1 - s0) / 2))
        cuts = [s0 + (s1 - s0) * i / count for i in range(count + 1)]
        for a, c in pairwise(cuts):
            corners = [
                street_point(a, t0, z),
                street_point(a, t1, z),
                street_point(c, t1, z),
                street_point(c, t0, z),
            ]
            b.face(corners, what)

    strip(-ROAD + 0.5, ROAD - 0.5, 0.0, m.asphalt())
    for sign in (-1, 1):
        inner, outer = sorted((sign * (ROAD - 0.5), sign * ROAD))
        strip(inner, outer, 0.0, m.cobbles())
        inner, outer = sorted((sign * ROAD, sign * (ROAD + 0.28)))
        strip(inner, outer, KERB, m.stone("a39a8c"))
        edge = [street_point(s, sign * ROAD) for s in range(-24, 101, 2)]
        for a, c in pairwise(edge):
            rise = Vector((0, 0, KERB))
            b.face([a, c, c + rise, a + rise], m.stone("a39a8c"))
        inner, outer = sorted((sign * (ROAD + 0.28), sign * (FACADE + 9)))
        strip(inner, outer, KERB, m.slabs())
    paint = m.asphalt(paint=True)
    for s in range(-10, 80, 5):
        if not 10 <= s <= 14:
            strip(-0.07, 0.07, 0.004, paint, s, s + 2.4)
    for i in range(7):
        t = -2.6 + i * 0.78
        strip(t, t + 0.45, 0.004, paint, 11.2, 14.0)
    b.lathe([(0.34, 0.0), (0.34, 0.006)], (1.3, 5.2, 0), m.plain("3d3935", 0.5, 0.7), 28)
    for i in range(5):
        b.box((1.3, 5.0 + 0.1 * i, 0.007), (0.4, 0.035, 0.006), m.plain("24211f", 0.5, 0.7))
    b.build()


LEFT = [  # s of the centre of the front, house
    ("brick 9a5a44", 2, "3c4f46", "", "", False),
    ("plaster c9b79a", 3, "3d5a73", "BOOKS", "", False),
    ("plaster 9fb0a4", 2, "6e3b2f", "", "", True),
    ("", 0, "", "", "", False),
    ("brick 8c4c3a", 3, "27402f", "TAILOR", "27402f", False),
    ("plaster d8c7a8", 2, "7a3b2c", "", "", True),
    ("plaster c98f6d", 3, "2f4858", "FLORIST", "4d7a4a", False),
    ("brick a4664a", 3, "46362a", "", "", False),
    ("plaster d9d2bf", 3, "47604f", "", "", True),
    ("plaster c7a66c", 2, "5a2f2a", "", "", True),
    ("brick 8c4c3a", 3, "2f4858", "", "", False),
    ("plaster cfc2ad", 3, "2f4858", "", "", True),
]
RIGHT = [
    ("plaster d9c39a", 3, "51604f", "", "", True),
    ("plaster d6a878", 3, "6b2a26", "", "", True),
    ("brick a65f45", 3, "1f3d3a", "CAFE", "a63a2c", False),
    ("plaster e0c890", 3, "3d6a78", "", "", True),
    ("plaster c46f55", 2, "35503c", "BAKERY", "d09a3a", False),
    ("plaster dcd6c6", 3, "2f4f6a", "", "", True),
    ("brick b07a58", 4, "4a2f24", "GROCER", "3f6a4a", False),
    ("plaster a8bac2", 3, "7a4030", "", "", True),
    ("plaster e2cf9f", 2, "3f5a44", "", "", True),
    ("plaster cf8f70", 3, "2f4858", "INN", "2f4858", False),
    ("brick a65f45", 3, "3d3a50", "", "", False),
    ("plaster d9c7a0", 4, "58402f", "", "", True),
]


def _houses(rng: Random) -> None:
    roofs = ("9c5238", "7d4733", "5a5c60", "a8623f")
    for side, row, start in ((-1, LEFT, -12.0), (1, RIGHT, -14.0)):
        s = start
        for i, (wall, floors, paint, shop, awning, shutters) in enumerate(row):
            width = rng.choice((7.2, 7.8, 8.4)) if floors else 5.0
            if floors:
                kind, code = wall.split()
                face = m.brick(code) if kind == "brick" else m.plaster(code)
                trim = m.stone(rng.choice(("c4b9a4", "b5aa97", "d2c8b4")))
                house = buildings.House(
                    width,
                    floors,
                    face,
                    trim,
                    m.tiles(rng.choice(roofs)),
                    paint,
                    shop,
                    awning,
                    shutters,
                    rng.uniform(2.7, 3.05),
                )
                where = place(
                    s + width / 2, side * (FACADE + rng.uniform(0, 0.15)), -90 * side, KERB
                )
                buildings.build_house(f"house {side} {i}", house, rng).matrix_world = where
                if shop:
                    buildings.sign_letters(house, where)
            s += width


def _plants(rng: Random) -> None:
    green = m.foliage("33531f", "7d9a3c")
    trees = [nature.build_tree(f"tree {i}", h, green, rng) for i, h in enumerate((6.2, 5.6, 6.6))]
    for item, s in zip(trees, (9.5, 21.0, 32.0), strict=True):
        item.matrix_world = place(s, ROAD + 0.75, rng.uniform(0, 360), KERB)
    for i, (s, t) in enumerate(((2.5, -4.1), (26.5, -4.1), (44.0, 4.0), (41.0, -4.1), (56.0, 4.0))):
        props.copy_to(trees[i % 3], place(s, t, rng.uniform(0, 360), KERB))
    for s, t in ((16.0, -8.6), (14.5, -12.5), (17.5, -17.0)):  # the garden in the gap on the left
        props.copy_to(trees[1], place(s, t, rng.uniform(0, 360), KERB))
    pot = props.build_planter("pot")
    pot.matrix_world = place(3.9, 3.95, 0, KERB)
    ball = nature.build_shrub(
        "box ball", (0.36, 0.36, 0.36), m.foliage("2f5222", "6f9440", 0.2), 1300, rng
    )
    ball.matrix_world = place(3.9, 3.95, 0, KERB + 0.78)
    for s, t in (
        (8.0, 3.95),
        (14.8, 5.9),
        (17.2, 5.9),
        (9.6, -5.8),
        (23.0, 5.8),
        (28.0, 5.8),
        (21.0, -5.8),
    ):
        props.copy_to(pot, place(s, t, 0, KERB))
        props.copy_to(ball, place(s, t, rng.uniform(0, 360), KERB + 0.78))
    nature.build_ivy("ivy", 3.4, 5.6, rng).matrix_world = place(26.0, -FACADE + 0.04, 90, KERB)
    nature.build_ivy("ivy", 2.2, 6.2, rng).matrix_world = place(17.2, FACADE - 0.04, -90, KERB)


def _traffic() -> None:
    parked = [
        ("7d1f1c", vehicles.HATCHBACK, 7.3, -1),
        ("d9cfb4", vehicles.SALOON, 19.8, -1),
        ("2b4f66", vehicles.VAN, 25.6, -1),
        ("8f9a8c", vehicles.HATCHBACK, 31.5, -1),
        ("27425c", vehicles.SALOON, 25.5, 1),
        ("b5652a", vehicles.HATCHBACK, 36.0, 1),
        ("3c3f44", vehicles.HATCHBACK, 43.0, -1),
    ]
    for i, (paint, shape, s, side) in enumerate(parked):
        turn = 90 if side > 0 else -90
        vehicles.build_car(f"car {i}", paint, shape).matrix_world = place(
            s, side * (ROAD - 1.0), turn
        )
    lean = Matrix.Rotation(0.12, 4, "X")
    vehicles.build_bicycle("bicycle", "2f6f73").matrix_world = (
        place(19.2, FACADE - 0.35, 90, KERB) @ lean
    )


def _furniture(rng: Random) -> None:
    post = props.build_lamp_post("lamp post")
    post.matrix_world = place(13.6, ROAD + 0.55, 0, KERB)
    for s, t in (
        (5.2, -ROAD - 0.5),
        (23.0, -ROAD - 0.5),
        (28.0, ROAD + 0.55),
        (42.0, -ROAD - 0.5),
        (48.0, ROAD + 0.5),
    ):
        props.copy_to(post, place(s, t, 0, KERB))
    table, chair = props.build_table("table"), props.build_chair("chair", "8f2f26")
    table.matrix_world, chair.matrix_world = place(5.9, 4.5, 0, KERB), place(5.2, 4.4, 175, KERB)
    for s, t in ((8.1, 5.2), (5.4, 5.6)):
        props.copy_to(table, place(s, t, 0, KERB))
    for s, t, turn in (
        (6.6, 4.6, 10),
        (8.8, 5.25, -8),
        (7.4, 5.1, 185),
        (5.5, 6.2, 85),
        (5.9, 3.85, -95),
    ):
        props.copy_to(chair, place(s, t, turn, KERB))
    props.build_parasol("parasol", "a63a2c").matrix_world = place(6.7, 5.2, 12, KERB)
    barrel = props.build_barrel("barrel")
    barrel.matrix_world = place(2.9, 3.9, 0, KERB)
    for s, t in ((10.7, 5.6), (11.2, 5.25)):
        props.copy_to(barrel, place(s, t, rng.uniform(0, 90), KERB))
    goods = ("c9402c", "e0a42e", "6f9a3a", "d8722c")
    for i, code in enumerate(goods):
        crate = props.build_crate(f"crate {i}", code)
        crate.matrix_world = place(11.9 + 0.65 * (i % 2), 5.75, 90, KERB + 0.34 * (i // 2))
    props.build_bench("bench").matrix_world = place(17.5, 4.1, -90, KERB)
    props.build_bin("bin").matrix_world = place(15.4, 4.0, 0, KERB)
    props.build_board("board").matrix_world = place(9.9, 4.5, 8, KERB)
    bollard = props.build_bollard("bollard")
    bollard.matrix_world = place(10.6, ROAD + 0.4, 0, KERB)
    for s, t in (
        (14.6, 3.7),
        (10.6, -3.7),
        (14.6, -3.7),
        (12.0, -3.7),
        (13.3, -3.7),
        (16.0, -3.7),
        (17.2, -3.7),
    ):
        props.copy_to(bollard, place(s, t, 0, KERB))
    for s, height in ((16.0, 6.2), (30.0, 6.4), (38.0, 6.6)):
        ends = street_point(s - 1.5, -FACADE, height), street_point(s + 1.5, FACADE, height)
        props.build_bunting("bunting", *ends, 0.8)


def _people() -> None:
    crowd = [
        ("9c3b30", "2b3446", "2a1a10", 1.0, 16.4, 5.0, 60),
        ("2f4a5c", "3a352f", "6b4a2a", 0.2, 15.6, 4.7, -100),
        ("c7b184", "33302c", "1c1612", 0.0, 18.6, -4.6, 20),
        ("4a5c3c", "3b3a45", "8a6a3c", 0.8, 10.4, -4.9, 70),
        ("6a4a6c", "22262e", "2a1a10", 0.3, 30.0, 4.8, 10),
        ("b06a3a", "2b3446", "3a2a1c", 0.3, 35.0, -4.7, 170),
    ]
    for i, (coat, trousers, hair, bend, s, t, turn) in enumerate(crowd):
        people.build_person(f"person {i}", coat, trousers, hair, bend).matrix_world = place(
            s, t, turn, KERB
        )


def _background() -> None:
    b = Builder("church")
    stone, slate = m.stone("c2b49a"), m.tiles("53575e")
    b.box((0, 0, 10), (6, 6, 20), stone)
    for z in (8.0, 14.0, 19.8):
        b.box((0, 0, z), (6.5, 6.5, 0.4), stone)
    for x in (-1.2, 1.2):
        b.box((x, -3.0, 16.6), (0.9, 0.2, 3.2), m.plain("1a1815", 0.8))
    b.lathe(
        [(0.9, 0), (0.9, 0.1)],
        (0, -3.02, 11.2),
        m.plain("e9e2cf"),
        24,
        Matrix.Rotation(math.pi / 2, 3, "X"),
    )
    b.lathe([(4.2, 20), (1.8, 24), (0.05, 34)], (0, 0, 0), slate, 8)
    b.build().matrix_world = Matrix.Translation((-13.5, 84, 0)) @ Matrix.Rotation(0.3, 4, "Z")
    nature.build_hills("near hills", 120, 26, "5a6b34", 0.25, 3.0)
    nature.build_hills("far hills", 190, 52, "4d6350", 0.5, 8.0)

"""Trees, shrubs, climbing plants and the hills behind the town."""

from __future__ import annotations

import math
from random import Random

import blender.materials as m
import bpy
from blender.mesh import Builder
from mathutils import Vector, noise


def _leaves(
    b: Builder,
    centre: Vector,
    radius: Vector,
    count: int,
    size: float,
    leaf: bpy.types.Material,
    rng: Random,
) -> None:
    """Scatter folded leaves near the surface of an ellipsoid."""
    for _ in range(count):
        way = Vector((rng.gauss(0, 1), rng.gauss(0, 1), rng.gauss(0, 1))).normalized()
        spot = centre + Vector(w * r for w, r in zip(way, radius, strict=True)) * rng.uniform(
            0.55, 1.0
        )
        out = (
            way + Vector((rng.gauss(0, 0.5), rng.gauss(0, 0.5), rng.gauss(0, 0.5) + 0.3))
        ).normalized()
        side = out.orthogonal().normalized()
        side.rotate(out.to_track_quat("Z", "Y"))
        other = out.cross(side)
        s = size * rng.uniform(0.7, 1.3)
        fold = out * s * 0.25
        tip, tail = spot + side * s, spot - side * s
        b.face([tail, spot + other * s * 0.5 + fold, tip, spot - other * s * 0.5 + fold], leaf)


def build_tree(
    name: str, height: float, leaf: bpy.types.Material, rng: Random, density: int = 210
) -> bpy.types.Object:
    """A street tree with its foot at the origin."""
    b = Builder(name)
    wood, crown = m.bark(), Vector((0.0, 0.0, height * 0.66))
    fork = Vector((rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), height * 0.36))
    b.tube((0, 0, -0.1), (0, 0, 0.25), 0.24, wood, 0.15)
    b.tube((0, 0, 0.2), fork, 0.155, wood, 0.12)
    for i in range(34):
        a, lift = i * 2.4, rng.uniform(-0.75, 1.0)
        reach = math.sqrt(max(0.0, 1 - lift * lift)) * rng.uniform(0.45, 1.0) * height * 0.27
        spot = crown + Vector((math.cos(a) * reach, math.sin(a) * reach, lift * height * 0.27))
        knee = fork.lerp(spot, 0.45) + Vector((0, 0, -0.12))
        b.tube(fork, knee, 0.04, wood, 0.028, sides=6)
        b.tube(knee, spot, 0.028, wood, 0.01, sides=6)
        r = rng.uniform(0.42, 0.7) * height / 6
        _leaves(b, spot, Vector((r, r, r * 0.7)), density, 0.085, leaf, rng)
    return b.build(smooth_deg=60)


def build_shrub(
    name: str, radius: tuple[float, float, float], leaf: bpy.types.Material, count: int, rng: Random
) -> bpy.types.Object:
    """A clipped shrub about the origin, with a dark heart so that nothing shows through."""
    b = Builder(name)
    heart = [(0.01, -0.8), (0.6, -0.55), (0.8, 0.0), (0.6, 0.55), (0.01, 0.8)]
    b.lathe(
        [(r * radius[0], z * radius[2]) for r, z in heart], (0, 0, 0), m.plain("1c2a14", 0.9), 10
    )
    _leaves(b, Vector(), Vector(radius), count, 0.045, leaf, rng)
    return b.build(smooth_deg=60)


def build_ivy(name: str, width: float, height: float, rng: Random) -> bpy.types.Object:
    """Ivy on a wall in the plane y = 0 that faces -y, thinning towards the top."""
    b = Builder(name)
    leaf = m.foliage("2c4a1e", "5d7d33", 0.2)
    for _ in range(150):
        z = height * rng.random() ** 0.8
        x = rng.uniform(-1, 1) * width / 2 * (1.05 - 0.7 * z / height) + 0.5 * noise.noise(
            Vector((0, 0, z))
        )
        _leaves(b, Vector((x, -0.06, z)), Vector((0.35, 0.09, 0.4)), 26, 0.06, leaf, rng)
    return b.build(smooth_deg=60)


def build_hills(
    name: str, distance: float, height: float, code: str, haze: float, seed: float
) -> bpy.types.Object:
    """A ridge of hills across the view at a distance along +y."""
    b = Builder(name)
    land, columns, rows, depth = m.far_land(code, haze), 90, 8, 34.0

    def spot(i: int, j: int) -> Vector:
        x = (i / columns - 0.5) * 520
        rise = (j / rows) ** 0.7
        bulk = (
            0.6
            + 0.5 * noise.noise(Vector((x / 90, seed, 0)))
            + 0.12 * noise.noise(Vector((x / 22, seed, 1)))
        )
        wood = 0.035 * noise.noise(Vector((x / 4, seed, j)))
        return Vector((x, distance + depth * j / rows, -2 + height * rise * (bulk + wood)))

    for i in range(columns):
        for j in range(rows):
            b.face([spot(i, j), spot(i + 1, j), spot(i + 1, j + 1), spot(i, j + 1)], land)
    return b.build(smooth_deg=80)

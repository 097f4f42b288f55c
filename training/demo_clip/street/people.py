"""Standing figures made of rounded parts."""

from __future__ import annotations

import math

import blender.materials as m
import bpy
from blender.mesh import Builder
from mathutils import Vector


def _limb(
    name: str, chain: list[tuple[Vector, float]], material: bpy.types.Material
) -> bpy.types.Object:
    """A rounded body part: a chain of points with radii, skinned and smoothed."""
    b = Builder(name)
    sides = 12
    loops = []
    for i, (spot, radius) in enumerate(chain):
        ahead, behind = chain[min(i + 1, len(chain) - 1)][0], chain[max(i - 1, 0)][0]
        turn = Vector((0, 0, 1)).rotation_difference(ahead - behind).to_matrix()
        ring = [
            Vector((radius * math.cos(a), radius * 0.78 * math.sin(a), 0))
            for a in (2 * math.pi * k / sides for k in range(sides))
        ]
        loops.append([spot + turn @ p for p in ring])
    b.loft(loops, material)
    item = b.build(smooth_deg=180)
    item.modifiers.new("round", "SUBSURF").render_levels = 2
    return item


def build_person(
    name: str, coat: str, trousers: str, hair: str, bend: float = 0.1
) -> bpy.types.Object:
    """A standing figure that faces -y; the right forearm is lifted by ``bend``."""
    v = Vector
    cloth, legs, skin = m.plain(coat, 0.9), m.plain(trousers, 0.9), m.plain("c68f6e", 0.55)
    torso = [
        (v((0, 0, 0.8)), 0.16),
        (v((0, 0, 0.84)), 0.19),
        (v((0, 0, 1.05)), 0.165),
        (v((0, 0.01, 1.3)), 0.21),
        (v((0, 0.01, 1.43)), 0.19),
        (v((0, 0.0, 1.5)), 0.07),
        (v((0, 0, 1.52)), 0.05),
    ]
    root = _limb(name, torso, cloth)
    parts = []
    for side in (-1, 1):
        hip, knee, ankle = (
            v((side * 0.09, 0, 0.88)),
            v((side * 0.11, -0.02, 0.48)),
            v((side * 0.12, 0.02, 0.06)),
        )
        parts.append(_limb("leg", [(hip, 0.1), (knee, 0.072), (ankle, 0.052)], legs))
        toe = v((side * 0.13, -0.15, 0.03))
        parts.append(
            _limb(
                "shoe",
                [(ankle + v((0, 0.05, -0.03)), 0.05), (ankle, 0.06), (toe, 0.045)],
                m.plain("2a1d14", 0.5),
            )
        )
        shoulder, elbow = v((side * 0.2, 0.01, 1.41)), v((side * 0.27, 0.03, 1.14))
        lift = bend if side > 0 else 0.0
        hand = elbow + v((-side * 0.05 - 0.1 * lift, -0.05 - 0.2 * lift, -0.24 + 0.34 * lift))
        parts.append(_limb("arm", [(shoulder, 0.07), (elbow, 0.055), (hand, 0.042)], cloth))
        parts.append(
            _limb(
                "hand",
                [(hand, 0.035), (hand.lerp(elbow, -0.3), 0.04), (hand.lerp(elbow, -0.45), 0.02)],
                skin,
            )
        )
    parts.append(_limb("neck", [(v((0, 0, 1.45)), 0.05), (v((0, 0, 1.6)), 0.05)], skin))
    parts.append(
        _limb(
            "head",
            [
                (v((0, -0.015, 1.53)), 0.04),
                (v((0, -0.015, 1.57)), 0.075),
                (v((0, -0.01, 1.66)), 0.092),
                (v((0, 0, 1.74)), 0.08),
                (v((0, 0, 1.77)), 0.03),
            ],
            skin,
        )
    )
    parts.append(
        _limb(
            "hair",
            [
                (v((0, 0.045, 1.58)), 0.07),
                (v((0, 0.03, 1.67)), 0.1),
                (v((0, 0.012, 1.76)), 0.092),
                (v((0, 0.01, 1.8)), 0.04),
            ],
            m.plain(hair, 0.7),
        )
    )
    for part in parts:
        part.parent = root
    return root

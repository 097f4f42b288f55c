"""A small mesh builder: boxes, tubes, lathes and prisms with texture coordinates in metres."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import bpy
from mathutils import Matrix, Vector

Point = Sequence[float]
UP = Vector((0.0, 0.0, 1.0))


class Builder:
    """Collects faces of many materials and turns them into one object.

    ``matrix`` moves everything that is added after it was set, so that a part can be
    described in its own coordinates. Texture coordinates are in metres on every face.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.matrix = Matrix.Identity(4)
        self._points: list[Vector] = []
        self._faces: list[list[int]] = []
        self._slots: list[int] = []
        self._materials: list[bpy.types.Material] = []

    def face(self, points: Iterable[Point], material: bpy.types.Material) -> None:
        """One polygon; counter-clockwise seen from outside."""
        first = len(self._points)
        self._points.extend(self.matrix @ Vector(p) for p in points)
        self._faces.append(list(range(first, len(self._points))))
        if material not in self._materials:
            self._materials.append(material)
        self._slots.append(self._materials.index(material))

    def box(
        self, centre: Point, size: Point, material: bpy.types.Material, turn: Matrix | None = None
    ) -> None:
        """A box about its centre, optionally turned there."""
        (cx, cy, cz), (sx, sy, sz) = centre, (0.5 * s for s in size)
        corners = [Vector((x, y, z)) for z in (-sz, sz) for y in (-sy, sy) for x in (-sx, sx)]
        if turn is not None:
            corners = [turn @ c for c in corners]
        corners = [c + Vector((cx, cy, cz)) for c in corners]
        for loop in (
            (0, 2, 3, 1),
            (4, 5, 7, 6),
            (0, 1, 5, 4),
            (2, 6, 7, 3),
            (0, 4, 6, 2),
            (1, 3, 7, 5),
        ):
            self.face([corners[i] for i in loop], material)

    def loft(
        self, loops: Sequence[Sequence[Point]], material: bpy.types.Material, caps: bool = True
    ) -> None:
        """A skin over loops of equally many points."""
        for below, above in pairwise(loops):
            count = len(below)
            for i in range(count):
                j = (i + 1) % count
                self.face([below[i], below[j], above[j], above[i]], material)
        if caps:
            self.face(list(reversed(loops[0])), material)
            self.face(loops[-1], material)

    def lathe(
        self,
        profile: Sequence[tuple[float, float]],
        base: Point,
        material: bpy.types.Material,
        sides: int = 16,
        turn: Matrix | None = None,
    ) -> None:
        """A body of revolution: (radius, height) pairs about an upright axis at ``base``."""
        angles = [2 * math.pi * i / sides for i in range(sides)]
        loops = [
            [Vector((r * math.cos(a), r * math.sin(a), z)) for a in angles] for r, z in profile
        ]
        if turn is not None:
            loops = [[turn @ p for p in loop] for loop in loops]
        self.loft([[p + Vector(base) for p in loop] for loop in loops], material)

    def tube(
        self,
        start: Point,
        end: Point,
        radius: float,
        material: bpy.types.Material,
        end_radius: float | None = None,
        sides: int = 10,
    ) -> None:
        """A round bar from one point to another."""
        axis = Vector(end) - Vector(start)
        turn = UP.rotation_difference(axis).to_matrix()
        top = radius if end_radius is None else end_radius
        self.lathe([(radius, 0.0), (top, axis.length)], start, material, sides, turn)

    def build(self, bevel: float = 0.0, smooth_deg: float = 35.0) -> bpy.types.Object:
        """Make the object, link it to the scene and return it."""
        mesh = bpy.data.meshes.new(self.name)
        mesh.from_pydata(self._points, [], self._faces)
        for material in self._materials:
            mesh.materials.append(material)
        mesh.polygons.foreach_set("material_index", self._slots)
        self._unwrap(mesh)
        _merge(mesh, smooth_deg)
        item = bpy.data.objects.new(self.name, mesh)
        bpy.context.scene.collection.objects.link(item)
        if bevel > 0:
            modifier = item.modifiers.new("bevel", "BEVEL")
            modifier.width, modifier.segments = bevel, 2
            modifier.limit_method, modifier.angle_limit = "ANGLE", math.radians(40)
            modifier.harden_normals = True
        return item

    def _unwrap(self, mesh: bpy.types.Mesh) -> None:
        """Lay each face flat: u along the horizontal, v up the slope, both in metres."""
        layer = mesh.uv_layers.new(name="metres")
        for polygon in mesh.polygons:
            normal = polygon.normal
            flat = abs(normal.z) > 0.95
            u = Vector((1.0, 0.0, 0.0)) if flat else UP.cross(normal).normalized()
            v = Vector((0.0, 1.0, 0.0)) if flat else normal.cross(u)
            for loop in polygon.loop_indices:
                point = mesh.vertices[mesh.loops[loop].vertex_index].co
                layer.data[loop].uv = (point.dot(u), point.dot(v))


def _merge(mesh: bpy.types.Mesh, smooth_deg: float) -> None:
    """Join coincident points and shade smoothly below the angle."""
    import bmesh

    work = bmesh.new()
    work.from_mesh(mesh)
    bmesh.ops.remove_doubles(work, verts=work.verts, dist=1e-5)
    work.to_mesh(mesh)
    work.free()
    mesh.shade_smooth()
    mesh.set_sharp_from_angle(angle=math.radians(smooth_deg))

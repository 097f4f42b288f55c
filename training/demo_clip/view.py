"""The camera of the demo clip: its size, its lens and its walk down the street."""

from __future__ import annotations

import math

import bpy
from mathutils import Matrix, Vector

WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 24, 144
FOCAL_MM, SENSOR_MM = 26.0, 36.0


def camera_matrix(frame: int) -> Matrix:
    """Camera to world in Blender's axes (x right, y up, looking along -z): a smooth walk."""
    share = frame / (FRAMES - 1)
    s = 0.2 + 10.2 * share
    eye = Vector(
        (
            1.75 - 1.0 * share + 0.25 * math.sin(2 * math.pi * share),
            s,
            1.58 + 0.02 * math.sin(9 * share),
        )
    )
    yaw = math.radians(3.0 - 5.0 * math.sin(0.9 * math.pi * share) + 6.0 * share)
    pitch = math.radians(90.5 + 1.0 * math.sin(math.pi * share))
    return Matrix.Translation(eye) @ Matrix.Rotation(yaw, 4, "Z") @ Matrix.Rotation(pitch, 4, "X")


def add_camera() -> bpy.types.Object:
    """The lens of the clip, as the camera of the scene."""
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width, data.sensor_fit = FOCAL_MM, SENSOR_MM, "HORIZONTAL"
    data.clip_end = 1000.0
    item = bpy.data.objects.new("camera", data)
    bpy.context.scene.collection.objects.link(item)
    bpy.context.scene.camera = item
    return item

"""A low warm sun, a physical sky and fair-weather clouds."""

from __future__ import annotations

import math

import bpy

SUN_ELEVATION_DEG, SUN_AZIMUTH_DEG = 36.0, 27.0  # azimuth: from straight behind towards the left


def add_light() -> None:
    """Light the scene."""
    world = bpy.data.worlds.new("sky")
    bpy.context.scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    sky = tree.nodes.new("ShaderNodeTexSky")
    sky.sky_type, sky.sun_disc = "MULTIPLE_SCATTERING", False
    sky.sun_elevation = math.radians(SUN_ELEVATION_DEG)
    sky.sun_rotation = math.radians(180 + SUN_AZIMUTH_DEG)
    back = tree.nodes["Background"]
    back.inputs["Strength"].default_value = 0.15
    tree.links.new(_clouds(tree, sky.outputs[0]), back.inputs["Color"])
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle, sun.color = 5.2, math.radians(0.9), (1.0, 0.84, 0.64)
    item = bpy.data.objects.new("sun", sun)
    item.rotation_euler = (
        math.radians(90 - SUN_ELEVATION_DEG),
        0.0,
        math.radians(-SUN_AZIMUTH_DEG),
    )
    bpy.context.scene.collection.objects.link(item)


def _clouds(tree: bpy.types.NodeTree, sky: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Fair-weather clouds over the sky: noise on a plane above, seen in perspective."""
    add, link = tree.nodes.new, tree.links.new
    where, split = add("ShaderNodeTexCoord"), add("ShaderNodeSeparateXYZ")
    link(where.outputs["Generated"], split.inputs[0])
    lift, divide = add("ShaderNodeMath"), add("ShaderNodeVectorMath")
    lift.inputs[1].default_value, divide.operation = 0.12, "DIVIDE"
    link(split.outputs[2], lift.inputs[0])
    link(where.outputs["Generated"], divide.inputs[0])
    link(lift.outputs[0], divide.inputs[1])
    noise, ramp, mix = add("ShaderNodeTexNoise"), add("ShaderNodeMapRange"), add("ShaderNodeMix")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 1.1, 5.0
    link(divide.outputs[0], noise.inputs["Vector"])
    ramp.interpolation_type = "SMOOTHSTEP"
    for slot, value in ((1, 0.5), (2, 0.72), (3, 0.0), (4, 0.85)):
        ramp.inputs[slot].default_value = value
    link(noise.outputs[0], ramp.inputs[0])
    mix.data_type = "RGBA"
    link(ramp.outputs[0], mix.inputs[0])
    link(sky, mix.inputs[6])
    mix.inputs[7].default_value = (9.0, 8.4, 7.6, 1.0)
    return mix.outputs[2]

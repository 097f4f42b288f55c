"""Procedural materials: noise, bricks and waves; nothing is read from a file."""

from __future__ import annotations

from functools import cache

import bpy
from blender.shading import Graph, rgb, shade


@cache
def plain(code: str, roughness: float = 0.6, metallic: float = 0.0) -> bpy.types.Material:
    """A paint, cloth or metal with slight unevenness."""
    g = Graph(f"plain {code}", roughness, metallic)
    colour = rgb(code)
    return g.done(g.mix(g.noise(6.0), shade(colour, 0.75), shade(colour, 1.2)), colour)


@cache
def plaster(code: str) -> bpy.types.Material:
    """Rendered wall: blotches, rain streaks, a dirty foot."""
    g = Graph(f"plaster {code}", 0.85)
    colour = rgb(code)
    blotch = g.span(g.noise(0.7, 3), 0.35, 0.7)
    streak = g.span(g.noise(1.0, 3, g.scaled(g.position, (5.0, 5.0, 0.25))), 0.45, 0.75)
    height = g.node("ShaderNodeSeparateXYZ", {0: g.position}).outputs[2]
    foot = g.math("MULTIPLY", g.span(height, 1.6, 0.1), g.noise(2.0, 3))
    wall = g.mix(blotch, shade(colour, 0.8), shade(colour, 1.08))
    wall = g.mix(g.math("MULTIPLY", streak, 0.45), wall, shade(colour, 0.5))
    wall = g.mix(foot, wall, rgb("5a5248"))
    g.bump(g.noise(22.0, 3), 0.012)
    return g.done(wall, shade(colour, 0.9))


@cache
def brick(code: str) -> bpy.types.Material:
    """Brickwork with pale joints and odd bricks."""
    g = Graph(f"brick {code}", 0.85)
    colour = rgb(code)
    wall = g.bricks((0.26, 0.085), 0.011, shade(colour, 0.6), shade(colour, 1.3), rgb("a89c8c"))
    soot = g.math("MULTIPLY", g.span(g.noise(0.6, 3), 0.45, 0.75), 0.55)
    height = g.math("SUBTRACT", g.math("MULTIPLY", g.noise(40.0, 2), 0.35), wall.outputs[1])
    g.bump(height, 0.02)
    return g.done(g.mix(soot, wall.outputs[0], shade(colour, 0.4)), colour)


@cache
def tiles(code: str) -> bpy.types.Material:
    """Roof tiles in overlapping rows."""
    g = Graph(f"tiles {code}", 0.8)
    colour = rgb(code)
    rows = g.bricks(
        (0.22, 0.28), 0.014, shade(colour, 0.6), shade(colour, 1.35), shade(colour, 0.25)
    )
    moss = g.math("MULTIPLY", g.span(g.noise(0.9, 3), 0.52, 0.7), 0.6)
    g.bump(g.math("SUBTRACT", 1.0, rows.outputs[1]), 0.04)
    return g.done(g.mix(moss, rows.outputs[0], rgb("5f5d3c")), shade(colour, 0.9))


@cache
def stone(code: str = "b5aa97") -> bpy.types.Material:
    """Dressed stone for sills, quoins and kerbs."""
    g = Graph(f"stone {code}", 0.75)
    colour = rgb(code)
    grain = g.mix(g.noise(30.0, 2), shade(colour, 0.8), shade(colour, 1.15))
    stain = g.math("MULTIPLY", g.span(g.noise(1.3, 3), 0.45, 0.7), 0.5)
    g.bump(g.noise(14.0, 3), 0.01)
    return g.done(g.mix(stain, grain, shade(colour, 0.5)), shade(colour, 0.85))


@cache
def slabs() -> bpy.types.Material:
    """Pavement of stone slabs."""
    g = Graph("slabs", 0.7)
    first, second = rgb("a79c8d"), rgb("857b70")
    laid = g.bricks((0.75, 0.5), 0.012, first, second, rgb("40392f"))
    stain = g.math("MULTIPLY", g.span(g.noise(1.1, 4), 0.45, 0.68), 0.55)
    height = g.math("SUBTRACT", g.math("MULTIPLY", g.noise(18.0, 3), 0.4), laid.outputs[1])
    g.bump(height, 0.015)
    return g.done(
        g.mix(stain, laid.outputs[0], rgb("544a40")),
        rgb("8d8276"),
        g.span(stain, 0.0, 0.5, 0.8, 0.5),
    )


@cache
def cobbles() -> bpy.types.Material:
    """Small granite setts."""
    g = Graph("cobbles", 0.6)
    bent = g.mix(
        0.03, g.uv, g.node("ShaderNodeTexNoise", {"Vector": g.uv, "Scale": 3.0}).outputs[1]
    )
    laid = g.bricks((0.17, 0.12), 0.014, rgb("8d8478"), rgb("5d564f"), rgb("2e2923"))
    g.set(laid, {"Vector": bent})
    patch = g.math("MULTIPLY", g.span(g.noise(0.8, 3), 0.42, 0.66), 0.5)
    height = g.math("SUBTRACT", g.math("MULTIPLY", g.noise(16.0, 2), 0.5), laid.outputs[1])
    g.bump(height, 0.025)
    return g.done(
        g.mix(patch, laid.outputs[0], rgb("6a5d4c")),
        rgb("6e665c"),
        g.span(patch, 0.0, 0.5, 0.75, 0.4),
    )


@cache
def asphalt(paint: bool = False) -> bpy.types.Material:
    """Worn asphalt with cracks and patches, or the worn white paint on it."""
    g = Graph("lane paint" if paint else "asphalt", 0.8)
    grain = g.noise(60.0, 1)
    ground = g.mix(grain, rgb("494138"), rgb("80766a"))
    ground = g.mix(
        g.math("MULTIPLY", g.span(g.noise(0.35, 3), 0.42, 0.62), 0.55), ground, rgb("8a8074")
    )
    lanes = g.noise(1.0, 2, g.scaled(g.position, (1.4, 0.06, 1.0)))
    ground = g.mix(g.math("MULTIPLY", g.span(lanes, 0.5, 0.68), 0.5), ground, rgb("2b2928"))
    swirl = g.node(
        "ShaderNodeTexNoise", {"Vector": g.position, "Scale": 0.9, "Detail": 3.0}
    ).outputs[1]
    bent = g.mix(1.0, g.position, g.mix(1.0, swirl, (2.5, 2.5, 2.5, 1.0), "MULTIPLY"), "ADD")
    crack = g.node(
        "ShaderNodeTexVoronoi",
        {"Vector": bent, "Scale": 0.3},
        {"feature": "DISTANCE_TO_EDGE"},
    ).outputs[0]
    broken = g.math("MULTIPLY", g.span(crack, 0.012, 0.001), g.span(g.noise(0.4), 0.45, 0.6))
    ground = g.mix(broken, ground, rgb("242120"))
    if paint:
        worn = g.span(g.noise(7.0, 4), 0.34, 0.5)
        ground = g.mix(worn, ground, g.mix(g.noise(2.0), rgb("c9c4b6"), rgb("e8e4d8")))
    g.bump(g.noise(90.0, 0), 0.008)
    return g.done(ground, rgb("5a5653"), g.span(g.noise(0.6, 2), 0.35, 0.7, 0.9, 0.5))


@cache
def timber(code: str) -> bpy.types.Material:
    """Painted or raw boards with grain along the longer way."""
    g = Graph(f"timber {code}", 0.6)
    colour = rgb(code)
    grain = g.noise(3.0, 3, g.scaled(g.uv, (9.0, 1.2, 1.0)))
    g.bump(grain, 0.01)
    return g.done(g.mix(grain, shade(colour, 0.55), shade(colour, 1.3)), colour)


@cache
def window_glass(curtain: bool) -> bpy.types.Material:
    """A pane that mirrors the sky over a dark room or a pale curtain."""
    g = Graph("curtained pane" if curtain else "pane", 0.04)
    g.set(g.shader, {"Specular IOR Level": 1.0, "IOR": 1.7})
    wave = g.noise(1.0, 1, g.scaled(g.position, (9.0, 9.0, 0.2)))
    room = g.mix(g.noise(0.8, 2), rgb("0c0f12"), rgb("2c2822"))
    cloth = g.mix(wave, rgb("6f685c"), rgb("c9c0ae"))
    g.bump(g.noise(1.4, 1), 0.004)
    return g.done(cloth if curtain else room, rgb("3a4048"))


@cache
def car_paint(code: str) -> bpy.types.Material:
    """Lacquered metal."""
    g = Graph(f"car {code}", 0.35, 0.25)
    g.set(g.shader, {"Coat Weight": 1.0, "Coat Roughness": 0.04})
    return g.done(rgb(code), rgb(code))


@cache
def foliage(dark: str, light: str, through: float = 0.35) -> bpy.types.Material:
    """Leaves, partly lit from behind, each clump of its own tone."""
    g = Graph(f"leaves {dark}", 0.55)
    tone = g.mix(g.span(g.noise(2.2, 2), 0.35, 0.65), rgb(dark), rgb(light))
    glow = g.node("ShaderNodeBsdfTranslucent", {"Color": g.mix(0.5, tone, rgb("b9c25a"))})
    both = g.node("ShaderNodeMixShader", {0: through, 1: g.shader.outputs[0], 2: glow.outputs[0]})
    g.set(g.tree.nodes["Material Output"], {"Surface": both.outputs[0]})
    return g.done(tone, rgb(light))


@cache
def bark() -> bpy.types.Material:
    """Rough bark."""
    g = Graph("bark", 0.9)
    rough = g.noise(6.0, 3, g.scaled(g.position, (2.5, 2.5, 0.6)))
    g.bump(rough, 0.05)
    return g.done(g.mix(g.span(rough, 0.35, 0.65), rgb("3a2d22"), rgb("8c7a66")), rgb("5f5042"))


@cache
def far_land(code: str, haze: float) -> bpy.types.Material:
    """Distant hills: fields and woods behind blue air."""
    g = Graph(f"land {code}", 1.0)
    colour = rgb(code)
    woods = g.span(g.noise(0.05, 4), 0.46, 0.54)
    land = g.mix(woods, shade(colour, 1.3), shade(colour, 0.5))
    g.set(g.shader, {"Emission Color": rgb("a9bccb"), "Emission Strength": haze})
    return g.done(g.mix(haze, land, rgb("93a7b4")), colour)


@cache
def lamp(code: str, strength: float) -> bpy.types.Material:
    """Something that glows a little."""
    g = Graph(f"lamp {code}", 0.2)
    g.set(g.shader, {"Emission Color": rgb(code), "Emission Strength": strength})
    return g.done(rgb(code), rgb(code))

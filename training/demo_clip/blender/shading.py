"""What materials are made of: colours, and a node graph that is easy to write down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy

Colour = tuple[float, float, float, float]


def rgb(code: str) -> Colour:
    """The scene-linear colour of an sRGB hex code such as ``c8a27a``."""
    parts = (int(code[i : i + 2], 16) / 255 for i in (0, 2, 4))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return (linear[0], linear[1], linear[2], 1.0)


class Graph:
    """The node graph of one material, with its Principled shader ready."""

    def __init__(self, name: str, roughness: float = 0.7, metallic: float = 0.0) -> None:
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.shader = self.tree.nodes["Principled BSDF"]
        self.set(self.shader, {"Roughness": roughness, "Metallic": metallic})
        self.uv = self.node("ShaderNodeTexCoord").outputs["UV"]
        self.position = self.node("ShaderNodeNewGeometry").outputs["Position"]

    def set(self, node: Any, inputs: Mapping[Any, Any]) -> None:
        """Give inputs a value, or link them to a socket."""
        for key, value in inputs.items():
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, node.inputs[key])
            else:
                node.inputs[key].default_value = value

    def node(
        self,
        kind: str,
        inputs: Mapping[Any, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Any:
        """Add a node."""
        node = self.tree.nodes.new(kind)
        for key, value in (settings or {}).items():
            setattr(node, key, value)
        self.set(node, inputs or {})
        return node

    def noise(self, scale: float, detail: float = 2.0, vector: Any = None) -> Any:
        """Fractal noise in 0..1 by position in the world, or by ``vector``."""
        where = self.position if vector is None else vector
        inputs = {"Vector": where, "Scale": scale, "Detail": detail}
        return self.node("ShaderNodeTexNoise", inputs).outputs[0]

    def span(
        self, value: Any, low: float, high: float, to_low: float = 0, to_high: float = 1
    ) -> Any:
        """A smooth step from one range to another."""
        inputs = {0: value, 1: low, 2: high, 3: to_low, 4: to_high}
        smooth = {"interpolation_type": "SMOOTHSTEP"}
        return self.node("ShaderNodeMapRange", inputs, smooth).outputs[0]

    def mix(self, amount: Any, first: Any, second: Any, blend: str = "MIX") -> Any:
        """Mix two colours."""
        settings = {"data_type": "RGBA", "blend_type": blend}
        return self.node("ShaderNodeMix", {0: amount, 6: first, 7: second}, settings).outputs[2]

    def math(self, operation: str, first: Any, second: Any = 0.0) -> Any:
        """Arithmetic on two values."""
        return self.node("ShaderNodeMath", {0: first, 1: second}, {"operation": operation}).outputs[
            0
        ]

    def scaled(self, vector: Any, scale: tuple[float, float, float]) -> Any:
        """A vector stretched along its axes."""
        return self.node("ShaderNodeMapping", {"Vector": vector, "Scale": scale}).outputs[0]

    def bricks(
        self, size: tuple[float, float], gap: float, first: Colour, second: Colour, mortar: Colour
    ) -> Any:
        """Bricks of a size in metres; outputs 0 colour, 1 mortar mask."""
        inputs = {
            "Vector": self.uv,
            "Color1": first,
            "Color2": second,
            "Mortar": mortar,
            "Scale": 1.0,
            "Mortar Size": gap,
            "Mortar Smooth": 0.3,
            "Brick Width": size[0],
            "Row Height": size[1],
        }
        return self.node("ShaderNodeTexBrick", inputs)

    def bump(self, height: Any, distance: float, strength: float = 1.0) -> None:
        """Bump the surface by a height in 0..1 times a distance in metres."""
        inputs = {"Height": height, "Distance": distance, "Strength": strength}
        self.set(self.shader, {"Normal": self.node("ShaderNodeBump", inputs).outputs[0]})

    def done(self, colour: Any, mean: Colour, roughness: Any = None) -> bpy.types.Material:
        """Set the colour and return the material.

        Light that has bounced sees only the mean colour, which skips the whole graph: several
        times faster, and no eye can tell.
        """
        self.set(self.shader, {"Base Color": colour})
        if roughness is not None:
            self.set(self.shader, {"Roughness": roughness})
        output = self.tree.nodes["Material Output"]
        direct = self.node("ShaderNodeLightPath").outputs["Is Camera Ray"]
        simple = self.node("ShaderNodeBsdfDiffuse", {"Color": mean}).outputs[0]
        full = output.inputs["Surface"].links[0].from_socket
        both = self.node("ShaderNodeMixShader", {0: direct, 1: simple, 2: full})
        self.set(output, {"Surface": both.outputs[0]})
        return self.material


def shade(colour: Colour, factor: float) -> Colour:
    """A lighter or darker colour."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor, 1.0)

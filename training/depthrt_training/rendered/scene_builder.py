"""Builds a scene as MuJoCo XML from textured primitives.

Metres; x and y level, z up. Nothing moves and nothing collides: MuJoCo only draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
FloatSequence = Sequence[float] | npt.NDArray[np.float64]


class Builder:
    """Collects geometry, materials and texture files; `xml()` and `assets` make a model."""

    def __init__(self, rng: Rng, pool: dict[str, list[bytes]]) -> None:
        self.rng = rng
        self.pool = pool
        self.assets: dict[str, bytes] = {}
        self._materials: list[str] = []
        self._meshes: list[str] = []
        self._body: list[str] = []
        self.sky = ""
        self.options = ""

    def material(self, *kinds: str, repeat: float = 1.0, flat: bool = False) -> str:
        """A new material of one of the kinds of texture. `flat`: for planes and height fields."""
        rng = self.rng
        kind = kinds[rng.integers(len(kinds))]
        index = int(rng.integers(len(self.pool[kind])))
        file = f"{kind}{index}.png"
        self.assets[file] = self.pool[kind][index]
        name = f"m{len(self._materials)}"
        tint = rng.uniform(0.65, 1.0) * rng.uniform(0.88, 1.0, 3)
        shine = rng.uniform(0.2, 0.9) if rng.random() < 0.25 else rng.uniform(0, 0.15)
        layout = (
            f'type="2d" file="{file}"/>' if flat else f'type="cube" file="{file}" gridsize="1 1"/>'
        )
        self._materials.append(
            f'<texture name="{name}" {layout}'
            f'<material name="{name}" texture="{name}" texrepeat="{repeat:.3f} {repeat:.3f}" '
            f'texuniform="{"true" if flat else "false"}" specular="{shine:.2f}" '
            f'shininess="{rng.uniform(0.1, 0.9):.2f}" '
            f'rgba="{tint[0]:.3f} {tint[1]:.3f} {tint[2]:.3f} 1"/>'
        )
        return name

    def add(
        self, kind: str, size: Sequence[float], position: Sequence[float], material: str,
        euler: Sequence[float] = (0, 0, 0),
    ) -> None:  # fmt: skip
        """One primitive; `size` as MuJoCo has it (half lengths), `euler` in radians."""
        self._body.append(
            f'<geom type="{kind}" size="{_numbers(size)}" pos="{_numbers(position)}" '
            f'euler="{_numbers(euler)}" material="{material}"/>'
        )

    def box(
        self, centre: Sequence[float], lengths: Sequence[float], material: str,
        yaw: float = 0, euler: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        """A box by its centre and full lengths."""
        half = [max(float(v) / 2, 0.002) for v in lengths]
        self.add("box", half, centre, material, euler if euler is not None else (0, 0, yaw))

    def rod(
        self, start: Sequence[float], end: Sequence[float], radius: float, material: str
    ) -> None:
        """A capsule from start to end."""
        self._body.append(
            f'<geom type="capsule" size="{radius:.4f}" fromto="{_numbers([*start, *end])}" '
            f'material="{material}"/>'
        )

    def rock(
        self, centre: Sequence[float], radii: FloatSequence, material: str, points: int = 24
    ) -> None:
        """The convex hull of random points on an ellipsoid."""
        rng = self.rng
        v = rng.standard_normal((points, 3))
        v *= rng.uniform(0.75, 1.1, (points, 1)) / np.linalg.norm(v, axis=1, keepdims=True)
        name = f"r{len(self._meshes)}"
        vertices = v * np.asarray(radii)
        self._meshes.append(f'<mesh name="{name}" vertex="{_numbers(vertices.ravel().tolist())}"/>')
        self._body.append(
            f'<geom type="mesh" mesh="{name}" pos="{_numbers(centre)}" material="{material}"/>'
        )

    def terrain(self, half: float, relief: float, field: np.ndarray, material: str) -> None:
        """A square height field, `field` N,N in 0..1, its mean height at z = 0."""
        rows = field.shape[0]
        shift = -relief * float(field.mean())
        name = f"h{len(self._meshes)}"
        self._meshes.append(
            f'<hfield name="{name}" nrow="{rows}" ncol="{rows}" '
            f'size="{half} {half} {max(relief, 0.01):.3f} 0.5" '
            f'elevation="{_numbers(field.ravel().tolist())}"/>'
        )
        self._body.append(
            f'<geom type="hfield" hfield="{name}" pos="0 0 {shift:.3f}" material="{material}"/>'
        )

    def light(
        self, position: Sequence[float], direction: Sequence[float], strength: float,
        shadow: bool, sun: bool = False,
    ) -> None:  # fmt: skip
        """A spot light, or the sun; slightly coloured."""
        c = strength * self.rng.uniform(0.85, 1.0, 3)
        kind = "directional" if sun else "spot"
        cone = "" if sun else 'cutoff="85" exponent="1"'
        self._body.append(
            f'<light type="{kind}" pos="{_numbers(position)}" dir="{_numbers(direction)}" '
            f'diffuse="{_numbers(c)}" specular="0.2 0.2 0.2" {cone} '
            f'castshadow="{"true" if shadow else "false"}"/>'
        )

    def xml(self, near_m: float, far_m: float, ambient: float, shadow_m: float) -> str:
        """The model; `camera` is its one camera."""
        headlight = self.rng.uniform(0.0, 0.25)
        return (
            '<mujoco><compiler angle="radian"/><statistic extent="1" center="0 0 0"/>'
            f'<visual><headlight ambient="{ambient:.3f} {ambient:.3f} {ambient:.3f}" '
            f'diffuse="{headlight:.3f} {headlight:.3f} {headlight:.3f}" specular="0 0 0"/>'
            f'<map znear="{near_m}" zfar="{far_m}" shadowclip="{shadow_m}" fogstart="{far_m / 6}" '
            f'fogend="{far_m}"/><quality shadowsize="1024" offsamples="4"/>'
            '<global offwidth="512" offheight="512"/></visual>'
            '<default><geom contype="0" conaffinity="0" mass="0"/></default>'
            f"<asset>{self.sky}{''.join(self._materials)}{''.join(self._meshes)}</asset>"
            f'<worldbody><camera name="camera" fovy="50"/>{"".join(self._body)}</worldbody>'
            "</mujoco>"
        )


def turned(x: float, y: float, yaw: float) -> tuple[float, float]:
    """A point x, y rotated about the origin by yaw (radians)."""
    return x * math.cos(yaw) - y * math.sin(yaw), x * math.sin(yaw) + y * math.cos(yaw)


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return " ".join(f"{float(v):.4f}" for v in values)

"""Render the demo clip: colour frames as PNG, and exact depth for some of them.

python render.py OUT            # every frame, skipping what is there already
python render.py OUT --still 40 --scale 50 --samples 16
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import bpy
import scene as street
import view

SAMPLES = 4


def setup(scale_percent: int, samples: int) -> None:
    """Cycles on the CPU, few bounces, denoised."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x, scene.render.resolution_y = view.WIDTH, view.HEIGHT
    scene.render.resolution_percentage = scale_percent
    scene.render.fps = view.FPS
    scene.render.use_persistent_data = True
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = 0.55
    cycles = scene.cycles
    cycles.device, cycles.samples = "CPU", samples
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.04
    cycles.adaptive_min_samples = 4
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_quality = "BALANCED"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 1
    cycles.transmission_bounces, cycles.volume_bounces = 1, 0
    cycles.sample_clamp_indirect, cycles.blur_glossy = 4.0, 0.5
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.seed = street.SEED


def render_colour(camera: bpy.types.Object, frame: int, path: Path) -> None:
    """One colour frame."""
    camera.matrix_world = view.camera_matrix(frame)
    bpy.context.scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def main() -> None:
    """Render what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--still", type=int, nargs="*", help="only these frames")
    parser.add_argument("--scale", type=int, default=100, help="percent of the full size")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    camera = street.build_scene()
    setup(args.scale, args.samples)
    for frame in args.still or range(view.FRAMES):
        path = args.out / f"{frame:06d}.png"
        if path.exists() and not args.still:
            continue
        start = time.perf_counter()
        render_colour(camera, frame, path)
        print(f"frame {frame}: {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()

"""A pool of square textures: patterns from seeded noise, and crops of photographs if given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Texture = npt.NDArray[np.uint8]
Rng = np.random.Generator
Field = npt.NDArray[np.float64]

SIDE = 256
"""Pixels."""


def noise(rng: Rng, octaves: int = 6, first: int = 2, stretch: int = 1) -> Field:
    """SIDE,SIDE in 0..1: value noise summed over octaves; `stretch` > 1 gives a grain along x."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(octaves):
        cells = min(first * 2**octave, SIDE)
        grid = rng.random((cells + 1, max(cells // stretch, 1) + 1))
        layer = cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        total += np.asarray(layer, dtype=np.float64) * 0.6**octave
    low, high = np.quantile(total, [0.01, 0.99])
    return np.asarray(np.clip((total - low) / max(high - low, 1e-9), 0, 1))


def colour(rng: Rng, low: float = 20, high: float = 235, saturation: float = 0.5) -> Field:
    """3: a random colour, mostly muted; `saturation` is the upper bound."""
    value = rng.uniform(low, high)
    tint = rng.uniform(-1, 1, 3) * rng.uniform(0, saturation) ** 1.5 * value
    return np.asarray(np.clip(value + tint, 5, 250))


def blend(field: Field, a: Field, b: Field) -> Texture:
    """Colours a (0) to b (1) by a field in 0..1."""
    mixed = a + (b - a) * field[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def plaster(rng: Rng) -> Texture:
    """Almost plain, as painted walls are."""
    base = colour(rng, 90, 240, 0.35)
    return blend(noise(rng, 5, int(rng.integers(2, 20))), base, base * rng.uniform(0.8, 0.97))


def stone(rng: Rng) -> Texture:
    """Concrete, asphalt, marble, carpet: noise between two near colours."""
    base = colour(rng, 40, 200, 0.3)
    first = int(rng.choice([2, 4, 16, 64]))
    return blend(noise(rng, 7, first), base, base * rng.uniform(0.4, 1.6))


def wood(rng: Rng) -> Texture:
    """A stretched grain in browns, with or without boards."""
    base = np.array([rng.uniform(70, 210), 0, 0])
    base[1] = base[0] * rng.uniform(0.6, 0.85)
    base[2] = base[1] * rng.uniform(0.45, 0.85)
    image = blend(noise(rng, 7, 8, 12), base, base * rng.uniform(0.5, 0.8))
    if rng.random() < 0.5:
        step = SIDE // int(rng.choice([2, 4, 8]))
        for i, y in enumerate(range(0, SIDE, step)):
            shade = rng.uniform(0.75, 1.1)
            image[y : y + step] = np.clip(image[y : y + step] * shade, 0, 255)
            image[y : y + 2] //= 2
            image[y : y + step, (i * 97) % SIDE : (i * 97) % SIDE + 2] //= 2
    return image


def tiles(rng: Rng) -> Texture:
    """Tiles, bricks or a checkerboard."""
    a, b = colour(rng, 40, 230), colour(rng, 40, 230)
    rows, columns = int(rng.choice([2, 4, 8])), int(rng.choice([2, 4]))
    field = np.zeros((SIDE, SIDE))
    offset = rng.random() < 0.5
    height, width = SIDE // rows, SIDE // columns
    checker = rng.random() < 0.3
    for r in range(rows):
        shift = width // 2 if offset and r % 2 else 0
        for c in range(columns):
            value = float((r + c) % 2) if checker else rng.uniform(0, 0.35)
            columns_of = (np.arange(c * width, (c + 1) * width) + shift) % SIDE
            field[r * height : (r + 1) * height, columns_of] = value
    if not checker:
        joint = int(rng.integers(1, 5))
        for r in range(rows):
            field[r * height : r * height + joint] = 1
            shift = width // 2 if offset and r % 2 else 0
            for c in range(columns):
                x = (c * width + shift) % SIDE
                field[r * height : (r + 1) * height, x : x + joint] = 1
    return blend(np.clip(field + 0.25 * (noise(rng, 6, 8) - 0.5), 0, 1), a, b)


def stripes(rng: Rng) -> Texture:
    """Book spines, blinds, fabric: bands of random width and colour, either way."""
    bands = int(rng.integers(6, 40))
    edges = np.sort(rng.integers(0, SIDE, bands))
    palette = [colour(rng, 20, 235, 0.9) for _ in range(int(rng.integers(2, 12)))]
    row = np.array([palette[int(i) % len(palette)] for i in rng.integers(0, 99, bands + 1)])
    line = row[np.searchsorted(edges, np.arange(SIDE), side="right")]
    image = np.clip(line[None] * (0.8 + 0.3 * noise(rng, 5, 4)[..., None]), 0, 255)
    turned = image.transpose(1, 0, 2) if rng.random() < 0.4 else image
    return np.ascontiguousarray(turned, dtype=np.uint8)


def keys(rng: Rng) -> Texture:
    """A grid of small cells: keyboards, windows of an office block, perforated sheet."""
    a, b = colour(rng, 10, 120), colour(rng, 60, 240)
    rows, columns = int(rng.integers(4, 9)), int(rng.integers(4, 12))
    field = np.zeros((SIDE, SIDE))
    margin = rng.uniform(0.08, 0.3)
    for r in range(rows):
        for c in range(columns):
            top, bottom = (np.array([r + margin, r + 1 - margin]) * SIDE / rows).astype(int)
            left, right = (np.array([c + margin, c + 1 - margin]) * SIDE / columns).astype(int)
            field[top:bottom, left:right] = rng.uniform(0.6, 1)
    return blend(np.clip(field + 0.15 * (noise(rng, 5, 4) - 0.5), 0, 1), a, b)


def print_(rng: Rng) -> Texture:
    """A printed page or a screen: lines of marks and a few blocks on a ground."""
    light = rng.random() < 0.7
    image = np.empty((SIDE, SIDE, 3), dtype=np.uint8)
    image[:] = colour(rng, 200, 250, 0.1) if light else colour(rng, 5, 60, 0.4)
    y = int(rng.integers(8, 30))
    step = int(rng.integers(7, 18))
    while y < SIDE - 12:
        if rng.random() < 0.12:
            box = rng.integers(20, 100, 2)
            x = int(rng.integers(8, 120))
            image[y : y + int(box[0]), x : x + int(box[1])] = colour(rng, 20, 230, 0.9)
            y += int(box[0])
        x = int(rng.integers(8, 24))
        end = int(rng.integers(SIDE // 2, SIDE - 8))
        ink = colour(rng, 0, 110) if light else colour(rng, 120, 250, 0.8)
        while x < end:
            word = int(rng.integers(4, 26))
            image[y : y + step // 2, x : min(x + word, end)] = ink
            x += word + 4
        y += step
    return image


def leaves(rng: Rng) -> Texture:
    """Grass and foliage: fine noise in greens, yellows and browns."""
    green = np.array([rng.uniform(40, 120), rng.uniform(70, 150), rng.uniform(15, 70)])
    if rng.random() < 0.2:
        green = green[[1, 0, 2]]
    return blend(noise(rng, 5, int(rng.choice([16, 32, 64]))), green * 0.35, green * 1.3)


def facade(rng: Rng) -> Texture:
    """Windows in a wall."""
    wall, glass = colour(rng, 70, 220, 0.4), colour(rng, 15, 120, 0.3)
    image = blend(noise(rng, 7, 4), wall, wall * 0.8).astype(np.float64)
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(2, 6))
    share_y, share_x = rng.uniform(0.4, 0.75), rng.uniform(0.35, 0.8)
    for r in range(rows):
        for c in range(columns):
            y, x = int((r + 0.2) * SIDE / rows), int((c + 0.15) * SIDE / columns)
            h, w = int(share_y * SIDE / rows), int(share_x * SIDE / columns)
            image[y : y + h, x : x + w] = glass * rng.uniform(0.5, 1.6)
            image[y + h : y + h + 3, x : x + w] = wall * 1.15
            image[y : y + h, x + w // 2 : x + w // 2 + 2] = wall * 0.9
    return np.clip(image, 0, 255).astype(np.uint8)


def photo_crop(rng: Rng, files: list[Path]) -> Texture:
    """A square crop of a random photograph."""
    image = cv2.imread(str(files[rng.integers(len(files))]), cv2.IMREAD_COLOR)
    if image is None:
        return stone(rng)
    height, width = image.shape[:2]
    side = int(min(height, width) * rng.uniform(0.35, 1))
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    crop = cv2.resize(image[y : y + side, x : x + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(crop[..., ::-1], dtype=np.uint8)


PATTERNS: dict[str, Callable[[Rng], Texture]] = {
    "plaster": plaster,
    "stone": stone,
    "wood": wood,
    "tiles": tiles,
    "stripes": stripes,
    "keys": keys,
    "print": print_,
    "leaves": leaves,
    "facade": facade,
}


def build_pool(
    seed: int, photographs: Path | None, per_pattern: int = 24, photo_count: int = 400
) -> dict[str, list[bytes]]:
    """PNG files by kind; `photo` holds crops of photographs, or printed pages without any."""
    rng = np.random.default_rng(seed)
    pool = {kind: [_png(make(rng)) for _ in range(per_pattern)] for kind, make in PATTERNS.items()}
    files = sorted(photographs.glob("*.jpg")) if photographs else []
    if files:
        pool["photo"] = [_png(photo_crop(rng, files)) for _ in range(photo_count)]
    else:
        pool["photo"] = pool["print"] + pool["stone"]
    return pool


def _png(image: Texture) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])

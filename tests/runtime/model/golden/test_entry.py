"""The entry of golden frames: the same bits for everyone, and one sentence for what is broken."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from depthrt.errors import ModelError
from depthrt.model.golden.entry import GOLDEN_KEY, GoldenFrame, points_of, read_golden
from depthrt.model.golden.packed import enlarge, pack, unpack
from helpers.models.golden_models import SPEC, changed, golden_frames, picture
from helpers.models.small_model import SIZE, expected_depth


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (3, 9, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_is_packed_comes_back(
    shape: tuple[int, ...], kind: type[np.uint8 | np.uint16]
) -> None:
    top = np.iinfo(kind).max
    values = np.random.default_rng(1).integers(0, top, shape, kind, endpoint=True)
    back = unpack(pack(values), shape, kind)
    assert back.dtype == kind
    assert (back == values).all()


def test_the_text_is_the_same_for_ever() -> None:
    values = np.array([[1, 2, 4], [300, 2, 65535]], np.uint16)
    raw = zlib.decompress(base64.b64decode(pack(values)))
    down = [[1, 2, 4], [299, 0, 65531]]
    apart = [down[0][0], 1, 2, down[1][0], (0 - 299) % 65536, 65531]
    assert np.frombuffer(raw, "<u2").tolist() == apart


def test_a_picture_is_enlarged_in_whole_numbers() -> None:
    small = np.array([[[0] * 3, [100] * 3], [[200] * 3, [255] * 3]], np.uint8)
    large = enlarge(small, (3, 3))[..., 0]
    assert large.tolist() == [[0, 50, 100], [100, 139, 178], [200, 228, 255]]
    assert (enlarge(small, (2, 2)) == small).all()
    assert enlarge(small[:1, :1], (4, 5)).tolist() == np.zeros((4, 5, 3)).tolist()


def test_frames_come_back_from_the_entry() -> None:
    golden = golden_frames()
    assert read_golden({GOLDEN_KEY: golden.to_json()}, SPEC) == golden
    assert read_golden({}, SPEC) is None
    frame = golden.frames[0]
    given, kept = picture(0).transpose(2, 0, 1).astype(int), frame.pixels(SPEC).astype(int)
    assert (kept[1] == given[1]).all()  # green is kept; red and blue at half the size
    assert np.abs(kept - given).mean() < 12
    depth = expected_depth(frame.pixels(SPEC)[None])[0]
    assert np.abs(frame.proven() - points_of(depth, frame.rows, frame.columns)).max() < 2e-3
    assert frame.error(depth) < 1e-5


def test_the_error_is_a_share_of_the_spread() -> None:
    frame = golden_frames().frames[0]
    depth = expected_depth(frame.pixels(SPEC)[None])[0]
    low, high = np.percentile(frame.proven(), (2, 98), method="nearest")
    assert frame.error(depth + np.float32(0.1 * (high - low))) == pytest.approx(0.1, rel=1e-3)
    assert frame.error(np.full_like(depth, math.nan)) == math.inf


def test_colours_in_steps_keep_a_picture_sharp() -> None:
    sharp = np.zeros((*SIZE, 3), np.uint8)
    sharp[:, SIZE[1] // 2 :] = (200, 180, 90)
    frame = GoldenFrame.picture_only("sharp", sharp, 8)
    kept = frame.pixels(SPEC).astype(int)
    assert np.abs(kept[1] - sharp[..., 1]).max() <= 7
    edge = np.abs(np.diff(kept[1], axis=1)).max(axis=0)
    assert edge.argmax() == SIZE[1] // 2 - 1
    assert edge.max() > 160


def test_a_small_picture_and_a_flat_depth_are_kept() -> None:
    frame = GoldenFrame.picture_only("small", picture(3, (12, 16)), 1)
    assert frame.pixels(SPEC).shape == (3, *SIZE)
    flat = frame.with_depth(np.full(SIZE, 2.5, np.float32))
    assert flat.proven() == pytest.approx(2.5)
    assert flat.error(np.full(SIZE, 2.5, np.float32)) == 0
    assert flat.error(np.full(SIZE, 2.6, np.float32)) > 1


def frame_change(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["frames"][0].update({key: value})


BOMB = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c.update(version=2), "of version 2, but this depthrt reads up to 1"),
        (lambda c: c.update(frames=[]), r"broken \(0, not 1 to 16\)"),
        (lambda c: c.update(frames=[{}] * 17), r"broken \(17, not 1 to 16\)"),
        (lambda c: c.update(frames=5), "give a list of objects"),
        (lambda c: c.pop("tolerance"), 'lacks "tolerance"'),
        (lambda c: c["tolerance"].update(cpu=0), "give a number above 0"),
        (lambda c: c["tolerance"].update(others=True), "give a number above 0"),
        (frame_change("label", "\x1b[31m"), "give a line of text"),
        (frame_change("height", 49), "give 1 to 48"),
        (frame_change("width", 0), "give 1 to 64"),
        (frame_change("columns", 65), "give 1 to 64"),
        (frame_change("rows", 1.5), "give a whole number"),
        (frame_change("low", 1e9), "give a number up to high"),
        (frame_change("picture", 5), "give a text"),
    ],
)
def test_a_changed_entry_is_refused_in_a_sentence(
    change: Callable[[dict[str, Any]], object], what: str
) -> None:
    with pytest.raises(ModelError, match=what) as refused:
        read_golden({GOLDEN_KEY: changed(golden_frames(), change)}, SPEC)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "text", "what"),
    [
        ("picture", "", "does not hold 3072 bytes"),
        ("picture", "%%%", "cannot be unpacked"),
        ("picture", "AAAA", "cannot be unpacked"),
        ("picture", BOMB, "does not hold 3072 bytes"),
        ("colour", BOMB, "does not hold 1536 bytes"),
        ("depth", BOMB, "does not hold 6144 bytes"),
        ("depth", pack(np.zeros((3, 3), np.uint16)), "does not hold 6144 bytes"),
    ],
)
def test_a_frame_that_cannot_be_unpacked_is_refused(key: str, text: str, what: str) -> None:
    entry = changed(golden_frames(count=1), frame_change(key, text))
    golden = read_golden({GOLDEN_KEY: entry}, SPEC)
    assert golden is not None
    with pytest.raises(ModelError, match=what):
        golden.frames[0].check()


def test_one_changed_letter_is_noticed() -> None:
    text = golden_frames().to_json()
    content = json.loads(text)
    content["tolerance"]["cpu"] = 0.5
    for broken in (json.dumps(content), text.replace('"frame 1"', '"frame 7"')):
        with pytest.raises(ModelError, match="changed since they were proven"):
            read_golden({GOLDEN_KEY: broken}, SPEC)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"a": NaN}', "[" * 5000, "x" * 150_001])
def test_an_entry_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"golden frames (are broken|were changed)"):
        read_golden({GOLDEN_KEY: text}, SPEC)

"""HEIC photos: in tiles, turned, broken, and without the package that reads them."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import SourceError, open_source, read_image, to_rgb
from depthrt.sources.decode import heif
from depthrt.sources.decode.heif import decode_heif, heif_size, is_heif
from depthrt.sources.decode.heif_parts import decoded_pixels
from depthrt.sources.images import decode_image
from depthrt.system.installation import install_command
from helpers.commands import Command
from helpers.files.clips import picture
from helpers.files.heic_photos import heic

SIZE = (96, 128)
EXIF_TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"

needs_package = pytest.mark.skipif(not heif.can_decode_heif(), reason="pi-heif is not installed")


def alike(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> bool:
    return found.shape == expected.shape and bool(np.abs(found.astype(int) - expected).mean() < 4)


@needs_package
def test_a_photo_in_tiles_is_put_together(tmp_path: Path) -> None:
    tiles = [picture(k, (64, 96)) for k in range(6)]
    path = tmp_path / "photo.heic"
    path.write_bytes(heic(tiles, columns=3))
    whole = np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])
    (frame,) = open_source(path).frames()
    assert alike(to_rgb(frame.pixels), whole)
    assert heif_size(path.read_bytes(), "photo") == (128, 288)


@needs_package
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("exif", [b"", EXIF_TURNED], ids=["no exif", "exif"])
def test_a_photo_is_turned_as_it_says_once(tmp_path: Path, turns: int, exif: bytes) -> None:
    """EXIF's orientation beside irot is a copy of it, and not to be applied again."""
    path = tmp_path / "photo.HEIC"
    path.write_bytes(heic([picture(3, SIZE)], exif=exif, quarter_turns=turns))
    upright = np.rot90(picture(3, SIZE), turns)
    assert alike(read_image(path), upright)
    assert heif_size(path.read_bytes(), "photo") == upright.shape[:2]


@needs_package
def test_a_command_takes_photos_and_folders_of_them(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.heic").write_bytes(heic([picture(number, SIZE)]))
    ended = command("run", folder / "1.heic", "-m", model_path, "-o", tmp_path / "out.png")
    assert ended.code == 0, ended.err
    several = command("run", folder, "-m", model_path, "-o", tmp_path / "out.npz")
    assert several.code == 0, several.err
    assert np.load(tmp_path / "out.npz")["depth"].shape[0] == 3


@needs_package
def test_what_is_broken_or_lies_is_a_sentence(tmp_path: Path) -> None:
    whole = heic([picture(3, SIZE)])
    lying = heic([picture(3, SIZE)], claimed=(9, 12))
    assert heif_size(lying, "photo") == (9, 12)
    path = tmp_path / "photo.heic"
    for content in (whole[:60], whole[:300], whole[:-80], lying):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="is no HEIC photo that can be decoded") as caught:
            read_image(path)
        assert "\n" not in str(caught.value)


@needs_package
def test_a_small_photo_of_large_parts_is_not_decoded() -> None:
    whole = heic([picture(0, (1024, 1536))] * 4, columns=2)
    assert decoded_pixels(whole) == 4 * 1024 * 1536
    sides = struct.pack(">II", 2 * 1536, 2 * 1024)
    assert whole.count(sides) == 1
    lying = whole.replace(sides, struct.pack(">II", 96, 64))
    with pytest.raises(SourceError, match="its parts are larger than it says"):
        heif_size(lying, "photo")
    with pytest.raises(SourceError, match="its parts are larger than it says"):
        decode_heif(lying, "photo")
    tiles = struct.pack(">4H", 5, 4, 1, 2)  # of the picture 5: four, the first and the second, ...
    assert whole.count(tiles) == 1
    again = whole.replace(tiles, struct.pack(">4H", 5, 4, 1, 1))  # a tile that is there twice
    assert decoded_pixels(again) == 4 * 1024 * 1536


def test_what_describes_a_photo_may_be_broken_anywhere() -> None:
    whole = heic([picture(k, (64, 64)) for k in range(4)], columns=2)
    assert decoded_pixels(whole) == 4 * 64 * 64
    for end in range(0, 1200, 7):
        with suppress(ValueError):
            assert decoded_pixels(whole[:end]) in (0, 4 * 64 * 64)
    long = whole.replace(b"meta", b"free") + struct.pack(">I4s", 2 << 20, b"meta") + bytes(2 << 20)
    with pytest.raises(ValueError, match="too long"):
        decoded_pixels(long)
    overlay = whole.replace(b"grid\0", b"iovl\0")
    with pytest.raises(ValueError, match="made of iovl"):
        decoded_pixels(overlay)


@needs_package
def test_mutated_photos_raise_nothing_else() -> None:
    whole, rng = heic([picture(k, (64, 64)) for k in range(4)], columns=2), random.Random(3)
    refused: list[str] = []
    for _ in range(250):
        content = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            at = rng.randrange(500)
            content[at : at + rng.choice((0, 1, 4))] = rng.randbytes(rng.choice((0, 1, 4)))
        try:
            decode_image(np.frombuffer(bytes(content), np.uint8), "photo")
        except SourceError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 250
    assert not [said for said in refused if "\n" in said]


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "_DECODERS", ())
    path = tmp_path / "photo.heic"
    path.write_bytes(heic([picture(3, SIZE)]))
    with pytest.raises(SourceError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path} is a HEIC photo, which needs the package pi-heif: {install_command('heic')}"
    )
    (frame,) = open_source(path).frames()  # FFmpeg reads what is one picture
    assert alike(to_rgb(frame.pixels), picture(3, SIZE))


def test_what_is_a_heic_photo() -> None:
    assert is_heif(heic([picture(3, (64, 64))]))
    for content in (b"", b"\0\0\0\x18ftyp", b"\0\0\0\x18ftypisom\0\0\0\0mp41isom", bytes(100)):
        assert not is_heif(content)

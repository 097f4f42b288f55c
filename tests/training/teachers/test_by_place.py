"""Teachers that know a kind of place: their scale, where they agree, which pictures they label."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")
SLOPE = np.linspace(0, 4, 96, dtype=np.float32)[:, None] * np.ones((1, 128), np.float32)


def test_normalised_maps_do_not_depend_on_scale_and_shift() -> None:
    from depthrt_training.teachers.normalised import normalised

    one = normalised(SLOPE)
    assert np.median(one) == pytest.approx(0, abs=1e-6)
    assert np.abs(one).mean() == pytest.approx(1, rel=1e-5)
    assert np.abs(normalised(7 * SLOPE + 3) - one).max() < 1e-4
    assert np.abs(normalised(np.full_like(SLOPE, 2.0))).max() == 0


def test_a_pixel_counts_half_where_two_maps_are_half_a_deviation_apart() -> None:
    from depthrt_training.teachers.normalised import DISAGREEMENT, confidence

    other = SLOPE.copy()
    other[:, :48] += DISAGREEMENT
    weight = confidence(SLOPE, other)
    assert weight[:, 120:].min() == pytest.approx(1, abs=1e-3)
    assert np.abs(weight[:, :8] - 0.5).max() < 1e-3


def test_agreement_is_that_of_ranks() -> None:
    from depthrt_training.teachers.normalised import rank_agreement

    noise = np.random.default_rng(1).normal(size=SLOPE.shape).astype(np.float32)
    assert rank_agreement(SLOPE + SLOPE.T[:96, :1], np.exp(SLOPE)) > 0.95
    assert rank_agreement(SLOPE, -SLOPE) < -0.95
    assert abs(rank_agreement(SLOPE, noise)) < 0.1


def test_the_table_of_places_follows_from_the_lists_and_the_rule() -> None:
    from depthrt_training.teachers.places import TABLE, labelled_as, listed, used_places

    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["photograph"]: row["listed_as"] for row in rows} == listed()
    for row in rows:
        assert row["labelled_as"] == labelled_as(row["listed_as"], float(row["agreement"]))
    assert {"room", "road", "elsewhere"} == set(used_places().values())


def test_no_picture_is_labelled_twice(tmp_path: Path) -> None:
    import cv2

    from depthrt_training.teachers.placed_pictures import placed_sources
    from depthrt_training.teachers.places import used_places

    places = used_places()
    names = [next(name for name, p in places.items() if p == place) for place in ("room", "road")]
    shades = {"n0_unlisted": 40, names[0]: 120, names[1]: 200}
    for folder in ("images", "images_driving", "video"):
        (tmp_path / folder).mkdir()
    for name, shade in shades.items():
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), np.full((32, 32, 3), shade, np.uint8))
    cv2.imwrite(str(tmp_path / "images_driving" / "0.jpg"), np.full((32, 32, 3), 80, np.uint8))

    sources = placed_sources(tmp_path)
    found = {
        name: [(round(float(rgb.mean()), -1), place) for rgb, place, _ in sources[name].read()]
        for name in ("photographs", "rooms", "roads")
    }

    assert found["photographs"] == [(40, "elsewhere")]
    assert found["rooms"] == [(120, "room")]
    assert found["roads"] == [(200, "road"), (80, "road")]


def test_an_interrupted_labelling_goes_on_where_it_was(tmp_path: Path) -> None:
    from depthrt_training.data.label_cache import ByteImage, FloatMap
    from depthrt_training.teachers.by_place import Label
    from depthrt_training.teachers.placed_pictures import Placed, PlacedSource, labelled_by_place

    shown: list[int] = []

    class Breaking:
        """Labels a picture with its own shade; the first time breaks at the third picture."""

        def label(self, rgb: ByteImage, place: str, given: FloatMap | None = None) -> Label:
            shown.append(int(rgb[0, 0, 0]))
            if shown == [10, 20, 30]:
                raise KeyboardInterrupt
            depth = rgb[..., 0].astype(np.float32)
            return Label(depth, np.full(depth.shape, 0.5, np.float32), 1.0)

    def read() -> list[Placed]:
        return [(np.full((8, 8, 3), shade, np.uint8), "room", None) for shade in (10, 20, 30)]

    source = PlacedSource((tmp_path,), read)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        list(labelled_by_place(source, Breaking(), tmp_path / "kept"))
    samples = list(labelled_by_place(source, Breaking(), tmp_path / "kept"))
    assert shown == [10, 20, 30, 30]
    assert [float(target.mean()) for _, target, _, _ in samples] == [10, 20, 30]
    assert {int(weight) for _, _, weights, _ in samples for weight in weights.ravel()} == {128}


@pytest.mark.data
def test_meter_knows_a_room(data: Path) -> None:
    import cv2

    from depthrt_training.data.samples import read_rgb
    from depthrt_training.teachers.meter import NYU, Meter
    from depthrt_training.teachers.normalised import rank_agreement

    folder = data / "rgbd" / "replica_office0"
    file = sorted((folder / "rgb").glob("*.jpg"))[0]
    raw = np.asarray(cv2.imread(str(folder / "depth" / f"{file.stem}.png"), cv2.IMREAD_UNCHANGED))
    truth = 1 / np.maximum(raw.astype(np.float32), 1)
    rgb = read_rgb(file)
    label = Meter(data, NYU).label(rgb)
    assert label.shape == rgb.shape[:2]
    assert rank_agreement(np.asarray(cv2.resize(label, truth.shape[::-1])), truth) > 0.7

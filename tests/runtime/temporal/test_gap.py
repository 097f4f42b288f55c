"""Depth between keyframes, on scenes whose motion and depth are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from depthrt import UsageError
from depthrt.model.inference import Prediction
from depthrt.temporal.display_range import SceneCuts
from depthrt.temporal.gap import Gap
from depthrt.temporal.keyframes import Allowance, Estimate, Keyframe, Keyframes
from depthrt.temporal.optical_flow import grey_thumbnail
from helpers.files.moving import SIZE, panned, texture, with_object, zoomed

Image = NDArray[np.uint8]  # H,W,3
Map = NDArray[np.float32]


def depth_of(image: Image) -> Map:
    """The scene's true depth: its colours, so that it moves as the picture does."""
    return np.asarray(image @ np.array([0.5, 0.25, 0.125], np.float32), np.float32)


class Clip:
    """Frames, their true depth, and which of them the network was asked for."""

    def __init__(self, images: Sequence[Image], depths: Sequence[Map] | None = None) -> None:
        self.prepared = [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in images]
        self.depths = [depth_of(image) for image in images] if depths is None else list(depths)
        self.asked: list[int] = []
        self.greys = [grey_thumbnail(pixels, SIZE[::-1]) for pixels in self.prepared]
        cuts = SceneCuts()
        self.cuts = [cuts.update(pixels) for pixels in self.prepared]

    def infer(self, indices: Sequence[int]) -> list[Prediction]:
        self.asked += indices
        return [Prediction(self.depths[i].copy()) for i in indices]

    def fill(
        self, budget: float = 0.02, audit: float = 0.0, *, align: bool = False
    ) -> list[Estimate]:
        """All frames as one gap, the first one being the keyframe before it."""
        before = Keyframe(self.greys[0], Prediction(self.depths[0]))
        options = Keyframes(budget, audit, most=len(self.greys))
        rest = Clip.__new__(Clip)
        rest.__dict__ = {**self.__dict__, "depths": self.depths[1:]}
        gap = Gap(self.greys[1:], self.cuts[1:], options, align=align)
        gap.infer_ends(rest.infer, after_keyframe=True)
        return gap.fill(before, Allowance(), rest.infer)

    def errors(self, found: Sequence[Estimate]) -> list[float]:
        """Mean |given - true| of each frame over its depth's 2-98 percentile spread."""
        result = []
        for estimate, true in zip(found, self.depths[1:], strict=True):
            low, high = np.percentile(true, (2, 98))
            result.append(float(np.abs(estimate.made.depth - true).mean()) / float(high - low))
        return result


def test_a_pan_needs_its_last_frame_only() -> None:
    scene = texture(1)
    clip = Clip([panned(scene, 1.5 * i) for i in range(9)])
    found = clip.fill()
    assert [e.inferred for e in found] == [False] * 7 + [True]
    assert max(clip.errors(found)) < 0.02
    held = float(np.abs(clip.depths[0] - clip.depths[4]).mean()) / float(
        np.ptp(np.percentile(clip.depths[4], (2, 98)))
    )
    assert held > 4 * max(clip.errors(found))  # what it would be without flow


def test_a_zoom_is_followed() -> None:
    scene = texture(2)
    clip = Clip([zoomed(scene, 1 + 0.01 * i) for i in range(7)])
    found = clip.fill()
    assert sum(e.inferred for e in found) == 1
    assert max(clip.errors(found)) < 0.02


def test_an_object_before_a_static_ground_leaves_no_ghost() -> None:
    ground = panned(texture(3), 0)
    clip = Clip([with_object(ground, 10 + 3 * i) for i in range(5)])
    found = clip.fill(budget=0.05)
    assert max(clip.errors(found)) < 0.02
    middle = found[1].made.depth
    assert np.abs(middle[:24] - clip.depths[2][:24]).mean() < 0.5  # far from it nothing moves
    inside = np.s_[36:60, 22:42]  # of frame 2, where the object is at 16..48
    assert float(np.abs(middle[inside] - clip.depths[2][inside]).mean()) < 12


def test_a_frozen_picture_gives_the_same_depth_to_all() -> None:
    image = panned(texture(4), 0)
    clip = Clip([image] * 6)
    found = clip.fill()
    assert clip.asked == [4]
    for estimate in found:
        np.testing.assert_allclose(estimate.made.depth, clip.depths[0], atol=1e-3)


def test_a_flash_changes_no_depth() -> None:
    """One frame is far brighter; the scene stands still, and so does its depth."""
    image = panned(texture(13) // 2, 0)
    flash = np.clip(image.astype(np.int32) + 90, 0, 255).astype(np.uint8)
    clip = Clip([image, image, image, flash, image, image], [depth_of(image)] * 6)
    found = clip.fill()
    assert max(clip.errors(found)) < 0.005


def test_a_cut_ends_a_gap_on_both_sides() -> None:
    dark = texture(5) // 4
    bright = 255 - texture(6) // 4
    images = [panned(dark, i) for i in range(5)] + [panned(bright, i) for i in range(5)]
    clip = Clip(images)
    assert clip.cuts == [False] * 5 + [True] + [False] * 4
    found = clip.fill()
    assert [e.inferred for e in found] == [
        False, False, False, True, True, False, False, False, True,
    ]  # fmt: skip
    assert max(clip.errors(found)) < 0.02


def test_what_does_not_agree_is_halved_until_it_does() -> None:
    """Depth that no motion explains: every frame is another one's."""
    image = panned(texture(7), 0)
    depths = [depth_of(panned(texture(20 + i), 0)) for i in range(9)]
    clip = Clip([image] * 9, depths)
    found = clip.fill()
    assert all(e.inferred for e in found)
    assert sorted(clip.asked) == list(range(8))  # once each
    assert max(clip.errors(found)) == 0


def test_scale_and_shift_of_relative_depth_go_over_from_one_end_to_the_other() -> None:
    image = panned(texture(8), 0)
    first = depth_of(image)
    depths = [first * (1 + 0.02 * i) + i for i in range(9)]
    clip = Clip([image] * 9, depths)
    assert sum(e.inferred for e in clip.fill(budget=0.01)) > 1
    clip.asked.clear()
    found = clip.fill(budget=0.01, align=True)
    assert clip.asked == [7]
    assert max(clip.errors(found)) < 0.003


def test_depth_between_keyframes_stays_within_theirs() -> None:
    """A line from one end to the other may lead below zero in between."""
    image = panned(texture(12), 0)
    first = depth_of(image)
    clip = Clip([image] * 5, [first + 20 * i - first.min() for i in range(5)])
    found = clip.fill(budget=0.5, align=True)
    for estimate in found:
        assert estimate.made.depth.min() >= clip.depths[0].min()
        assert estimate.made.depth.max() <= clip.depths[-1].max()


def test_audited_frames_have_the_networks_depth_and_the_error_that_was_avoided() -> None:
    scene = texture(9)
    clip = Clip([panned(scene, 1.3 * i) for i in range(9)])
    given = clip.fill()
    clip.asked.clear()
    found = clip.fill(audit=1.0)
    assert all(e.inferred for e in found)
    assert sorted(clip.asked) == list(range(8))
    errors = [e.error for e in found]
    assert errors[-1] is None  # a keyframe
    assert [pytest.approx(e, rel=0.1) for e in errors[:-1]] == clip.errors(given)[:-1]
    for estimate, true in zip(found, clip.depths[1:], strict=True):
        np.testing.assert_array_equal(estimate.made.depth, true)


def test_optional_outputs_move_with_the_picture() -> None:
    scene = texture(10)
    images = [panned(scene, 2 * i) for i in range(5)]
    clip = Clip(images)
    shadow = [np.asarray(depth < np.median(depth)) for depth in clip.depths]
    normals = [np.stack([d, -d, d]).astype(np.float32) for d in clip.depths]

    def infer(indices: Sequence[int]) -> list[Prediction]:
        return [
            Prediction(
                clip.depths[i + 1],
                {"valid": shadow[i + 1], "normals": normals[i + 1], "fov_deg": np.float32(60 + i)},
            )
            for i in indices
        ]

    gap = Gap(clip.greys[1:], clip.cuts[1:], Keyframes(0.02, 0, 4), align=False)
    gap.infer_ends(infer, after_keyframe=True)
    optional = {"valid": shadow[0], "normals": normals[0], "fov_deg": np.float32(50)}
    before = Keyframe(clip.greys[0], Prediction(clip.depths[0], optional))
    found = gap.fill(before, Allowance(), infer)
    made = found[0].made.optional
    assert found[0].inferred is False
    assert made["valid"].dtype == np.bool_
    assert float((made["valid"] != shadow[1]).mean()) < 0.03
    assert float(np.abs(made["normals"] - normals[1]).mean()) < 3
    assert made["fov_deg"] == 50  # the nearer keyframe's
    assert found[2].made.optional["fov_deg"] == 63


def test_a_keyframe_that_failed_costs_the_first_frame() -> None:
    clip = Clip([panned(texture(11), i) for i in range(5)])
    gap = Gap(clip.greys, clip.cuts, Keyframes(0.02, 0, 5), align=False)
    gap.infer_ends(clip.infer, after_keyframe=True)
    found = gap.fill(None, Allowance(), clip.infer)
    assert [e.inferred for e in found] == [True, False, False, False, True]


def test_audits_over_the_budget_lower_what_is_allowed_and_good_ones_raise_it() -> None:
    tight = Allowance().after([0.06, 0.06], budget=0.02)
    assert tight.share == pytest.approx(0.8 * 0.02 / 0.06)
    assert tight.after([0.016], budget=0.02).share == pytest.approx(tight.share, rel=0.01)
    assert Allowance().after([0.005] * 9, budget=0.02).share == 1
    assert tight.after([0.001] * 60, budget=0.02).share == 1
    assert Allowance().after([9.0], budget=0.02).share == 0.1


@pytest.mark.parametrize(
    ("values", "said"),
    [((0.0,), "--keyframes 0"), ((2.0,), "--keyframes 2"), ((0.1, 1.5), "--audit 1.5")],
)
def test_shares_out_of_range_are_refused(values: tuple[float, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Keyframes(*values)

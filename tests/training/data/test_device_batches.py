"""Batches made on the training device show what those made by OpenCV show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.recipes import QUICK

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")


def draw(height: int, width: int, seed: int, holes: bool) -> object:
    """A smooth picture whose depth rises to the right and down, with a hole in it."""
    from depthrt_training.data.label_cache import Sample

    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (6, 8, 3)).astype(np.float32)
    import cv2

    rgb = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    target = np.linspace(1, 3, width)[None] + np.linspace(0, 2, height)[:, None]
    mask = np.ones((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 4 : width // 2] = 0
    target = np.where(mask | (not holes), target, 0)
    pixels = np.clip(rgb, 0, 255).astype(np.uint8)
    return Sample(pixels, target.astype(np.float16), mask if holes else None, float(seed))


def weighted(sample: object) -> object:
    """The same, but its pixels count 0.6 at the left border and 0.95 at the right one."""
    height, width = sample.target.shape  # type: ignore[attr-defined]
    weight = np.repeat(np.linspace(0.6, 0.95, width)[None], height, axis=0)
    return replace(sample, weight=(255 * weight).astype(np.uint8))  # type: ignore[type-var]


@pytest.mark.parametrize("full", [True, False])
def test_a_batch_equals_opencv_s_pictures(full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from depthrt_training.data import augmentation
    from depthrt_training.data import device_batches as pools

    samples = {
        "photographs": [draw(60, 80, 1, False), weighted(draw(96, 64, 2, False))],
        "rendered_indoor": [draw(72, 90, 3, True)],
    }
    pool = pools.make_pool(samples, torch.device("cpu"))  # type: ignore[arg-type]
    drawn = {}

    def remembered(shapes: object, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        drawn["cuts"] = draw_cuts(shapes, size, rng)  # type: ignore[arg-type]
        return np.asarray(drawn["cuts"])

    draw_cuts = pools.draw_cuts
    monkeypatch.setattr(pools, "draw_cuts", remembered)
    weights = {"photographs": 0.7, "rendered_indoor": 0.3}
    rng = np.random.default_rng(5)
    batch, source = pools.pool_batch(pool, weights, 24, (64, 96), rng, full)

    assert set(source) == {0, 1}
    assert batch.image.shape == (24, 3, 64, 96)
    assert batch.exact.tolist() == [bool(i) for i in source]
    flat = [sample for group in samples.values() for sample in group]
    for i in range(24):
        sample = flat[int(batch.horizon[i]) - 1]
        rgb, target, weight = augmentation.warp(sample, drawn["cuts"][i], (64, 96), full)  # type: ignore[arg-type]
        valid = weight > 0
        found = batch.image[i].permute(1, 2, 0).numpy()
        assert np.abs(found - rgb).mean() < 0.6  # OpenCV places a sample to 1/32 pixel and rounds
        both = valid & batch.valid[i].numpy()
        assert (valid == batch.valid[i].numpy()).mean() > 0.985
        assert both.mean() > 0.4
        assert np.abs(batch.target[i].numpy() - target)[both].max() < 0.03
        assert np.abs(batch.weight[i].numpy() - weight)[both].max() < 0.03
        assert (weight[valid].max() < 1) == (sample.weight is not None)


def test_colours_change_a_little_or_much_and_stay_colours() -> None:
    from depthrt_training.data.device_batches import change_colours

    image = torch.full((64, 3, 32, 32), 120.0)
    mild = change_colours(image, np.random.default_rng(0), 0.0)
    hard = change_colours(image, np.random.default_rng(0), 1.0)
    for found in (mild, hard):
        assert found.min() >= 0
        assert found.max() <= 255
        assert torch.equal(found, found.round())
    assert mild.mean(dim=(2, 3)).std() > 5
    assert hard.mean(dim=(2, 3)).std() > 1.5 * mild.mean(dim=(2, 3)).std()
    again = change_colours(image, np.random.default_rng(0), 1.0)
    assert torch.equal(hard, again)


def test_an_ensemble_is_the_mean_on_the_first_one_s_scale() -> None:
    from depthrt_training.teachers.teacher_ensemble import TeacherEnsemble

    class Ramp(torch.nn.Module):
        """Brightness times a gain, the same for every picture."""

        def __init__(self, gain: float, offset: float) -> None:
            super().__init__()
            self.gain, self.offset = gain, offset

        def forward(self, pixels: object) -> object:
            return self.gain * pixels.mean(1) + self.offset  # type: ignore[attr-defined]

    image = torch.rand(2, 3, 32, 64) * 255
    one = TeacherEnsemble([Ramp(1, 0)], None, 0.0)(image)  # type: ignore[list-item]
    two = TeacherEnsemble([Ramp(1, 0), Ramp(-0.5, 4)], None, 0.0)(image)  # type: ignore[list-item]
    assert torch.allclose(one, two, atol=0.02)  # affine copies of one another say the same
    expected = (image.mean(1) - 116) / 58
    assert torch.allclose(one, expected, atol=1e-4)
    # Of another layout: nearer to the right and below, where the picture has it below alone.
    slope = torch.linspace(0, 1, 64) + torch.linspace(0, 1, 32)[:, None]
    image = (255 * torch.linspace(0, 1, 32))[:, None].expand(2, 3, 32, 64)
    expected = (image.mean(1) - 116) / 58

    class Slope(torch.nn.Module):
        """The same for every picture, whichever way round."""

        def forward(self, pixels: object) -> object:
            half = len(pixels) // 2  # type: ignore[arg-type]
            return torch.cat([slope.expand(half, 32, 64), slope.flip(1).expand(half, 32, 64)])

    taught = TeacherEnsemble([Ramp(1, 0)], Slope(), 0.5)(image)  # type: ignore[list-item, arg-type]
    for own, found in zip(expected, taught, strict=True):
        scale, shift = np.polyfit(slope.flatten().numpy(), own.flatten().numpy(), 1)
        squares = (scale * slope + shift - own).reshape(4, 8, 8, 8).mean((1, 3))
        means = (found - own).reshape(4, 8, 8, 8).mean((1, 3))
        assert torch.allclose(means[1:-1, 1:-1], squares[1:-1, 1:-1] / 2, atol=0.02)
        assert squares.abs().max() > 0.5
    with pytest.raises(ValueError, match="an ensemble needs a network or the teacher"):
        TeacherEnsemble([], None, 0.0)


def test_a_source_without_samples_is_named() -> None:
    from depthrt_training.data.device_batches import make_pool

    samples = {"photographs": [draw(60, 80, 1, False)], "driving": []}
    with pytest.raises(ValueError, match="driving has no samples"):
        make_pool(samples, torch.device("cpu"))  # type: ignore[arg-type]


def test_blending_leaves_a_picture_its_larger_part() -> None:
    from depthrt_training.teachers.teacher_ensemble import blend

    image = torch.zeros(40, 3, 4, 4)
    image[::2] = 100
    assert torch.equal(blend(image, np.random.default_rng(0), 0.0), image)
    mixed = blend(image, np.random.default_rng(0), 0.5)
    assert (mixed[::2] >= 50).all()
    assert (mixed[1::2] <= 50).all()
    assert 0.2 < (mixed != image).any(dim=(1, 2, 3)).float().mean() < 0.8


@pytest.mark.parametrize("full", [True, False])
def test_pictures_are_labelled_while_training(tmp_path: Path, full: bool) -> None:
    from depthrt_training.config import read_config
    from depthrt_training.data.device_batches import make_pool
    from depthrt_training.data.label_cache import Sample
    from depthrt_training.model.network import depthrt_s
    from depthrt_training.model.weights_file import save_weights
    from depthrt_training.trainer import Trainer

    (tmp_path / "config.toml").write_text(
        QUICK
        + f"""
sources = {{ photographs = 0.5, rendered_indoor = 0.5 }}
teacher_ensemble = {{ teacher_share = 0.0, blended = 0.3 }}
stages = [{{ images = 80, batch = 20, sizes = [[64, 96]], full = {str(full).lower()} }}]
"""
    )
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    network = depthrt_s()
    torch.nn.init.constant_(network.head[-1].bias, 2.5)  # above zero, where it ends
    save_weights(start, network.state_dict(), {})
    config = read_config(tmp_path / "config.toml")
    trainer = Trainer(config, tmp_path, start, members=[start])
    labelled, bare = draw(72, 90, 3, True), draw(60, 80, 1, False)
    unknown = np.zeros((60, 80), np.uint8)
    pictures = [Sample(bare.rgb, unknown.astype(np.float16), unknown, float("nan"))]  # type: ignore[attr-defined]
    samples = {"photographs": pictures, "rendered_indoor": [labelled]}
    pool = make_pool(samples, torch.device("cpu"))  # type: ignore[arg-type]

    batch = trainer.draw({}, pool)

    photographs = batch.horizon.isnan()
    assert 3 < photographs.sum() < 17
    assert batch.target.shape == ((20, 64, 96) if full else (20, 32, 48))
    assert batch.valid[photographs].all()
    assert not batch.valid[~photographs].all()
    labels = batch.target[photographs]
    assert (labels.std(dim=(1, 2)) > 0).all()
    assert (labels[0] != labels[1]).any()  # each crop its own
    before = [parameter.clone() for parameter in trainer.average.parameters()]
    assert trainer.train_step(batch).isfinite()
    pairs = zip(before, trainer.average.parameters(), strict=True)
    assert any((a != b).any() for a, b in pairs)

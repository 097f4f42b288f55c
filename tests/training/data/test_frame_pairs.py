"""Pairs of frames of clips that the test encodes, and training with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from helpers.recipes import QUICK, TRAINING

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")
av = pytest.importorskip("av")

HEIGHT, WIDTH = 96, 128
CONFIG = (
    QUICK
    + """
sources = { photographs = 1.0 }
stages = [{ images = 80, batch = 8, sizes = [[64, 96]], full = FULL, weight_bits = BITS }]
"""
)
MOTION = "motion = { pairs = 4, temporal = 0.5, photometric = 0.1, flow = 0.05 }\n"


def encode(file: Path, frames: list[np.ndarray]) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", 25, {"crf": "6", "preset": "ultrafast"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def pan(
    count: int, speed: tuple[float, float], seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> list[np.ndarray]:
    """A pattern that moves by `speed` pixels per frame, x then y; frames of `size`."""
    coarse = np.random.default_rng(seed).uniform(20, 235, (40, 60, 3)).astype(np.float32)
    wall = cv2.resize(coarse, (360, 240), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    frames = []
    for i in range(count):
        matrix = np.array([[1.0, 0, speed[0] * i - 80], [0, 1, speed[1] * i - 60]])
        frames.append(cv2.warpAffine(wall, matrix, size[::-1]).round().astype(np.uint8))
    return frames


def read_all(folder: Path) -> list[tuple[int, int, Any]]:
    from depthrt_training.data.frame_pairs import clip_pairs

    return [found for clip in sorted(folder.glob("*.mp4")) for found in clip_pairs(clip)]


def read_near(folder: Path) -> list[tuple[int, int, Any]]:
    return [found for found in read_all(folder) if found[2].near]


@pytest.mark.parametrize(("speed", "gap"), [((2.0, -1.0), 1), ((0.6, 0.0), 2), ((0.1, 0.0), 3)])
def test_the_flow_is_as_drawn(tmp_path: Path, speed: tuple[float, float], gap: int) -> None:
    encode(tmp_path / "pan.mp4", pan(19, speed))
    found = read_near(tmp_path)
    assert [start for start, _, _ in found] == list(range(9))
    for _, between, pair in found:
        assert between == gap
        assert pair.valid.mean() > 0.8
        middle = np.median(pair.flow[pair.valid].astype(np.float32), axis=0)
        assert np.abs(middle - np.multiply(speed, gap)).max() < 0.15
        assert pair.pictures.shape == (2, HEIGHT, WIDTH, 3)


def test_no_pair_lies_across_a_cut(tmp_path: Path) -> None:
    encode(tmp_path / "cut.mp4", pan(8, (0.6, 0)) + pan(15, (0.6, 0), seed=1))
    spans = [(start, start + gap) for start, gap, _ in read_near(tmp_path)]
    assert all(end < 8 or start >= 8 for start, end in spans)
    assert {start for start, _ in spans} == set(range(13)) - {6, 7}
    wide = [(start, start + gap) for start, gap, pair in read_all(tmp_path) if not pair.near]
    assert all(end < 8 or start >= 8 for start, end in wide)


def test_wide_pairs_show_parallax(tmp_path: Path) -> None:
    near, far = pan(19, (1.2, 0)), pan(19, (0.2, 0), seed=1)
    for before, behind in zip(near, far, strict=True):
        before[:, : WIDTH // 2] = behind[:, : WIDTH // 2]
    encode(tmp_path / "parallax.mp4", near)
    gaps = {gap for _, gap, pair in read_all(tmp_path) if not pair.near}
    assert gaps <= {2, 4}
    assert gaps
    (tmp_path / "parallax.mp4").unlink()
    encode(tmp_path / "still.mp4", pan(19, (0, 0)))
    assert all(pair.near for _, _, pair in read_all(tmp_path))


def test_held_out_pairs_share_no_frame_with_training_pairs(tmp_path: Path) -> None:
    from depthrt_training.data.frame_pairs import Pairs, PairSource

    for name, speed in (("a", (0.6, 0.0)), ("b", (0.1, 0.2))):
        encode(tmp_path / f"{name}.mp4", pan(40, speed, size=(64, 80)))
    encode(tmp_path / "short.mp4", pan(3, (1, 0), size=(64, 80)))
    file = tmp_path / "pairs.npz"
    written = PairSource(tmp_path).write(file)
    pairs = Pairs(file)

    def frames(keys: list[str]) -> set[tuple[int, int]]:
        spans = [[int(part) for part in key.split("-")[:3]] for key in keys]
        return {(clip, i) for clip, start, gap in spans for i in range(start, start + gap + 1)}

    near = [key for key in pairs.held_out if key.endswith("near")]
    assert 6 <= len(near) <= 10  # of 30 each
    assert {key.split("-")[0] for key in near} == {"000", "001"}
    assert not frames(pairs.training) & frames(pairs.held_out)
    assert len(pairs.training) + len(pairs.held_out) < written  # some lie across the border
    assert len(pairs.training) > 40


def test_a_crop_keeps_the_camera_and_the_flow(tmp_path: Path) -> None:
    from depthrt_training.data.frame_pairs import Pair, cut

    columns = np.arange(WIDTH, dtype=np.float32) + 0.5
    picture = np.repeat(np.repeat(columns[None, :, None], HEIGHT, 0), 3, 2)
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float16)
    flow[..., 0], flow[..., 1] = 2, 1
    valid = np.ones((HEIGHT, WIDTH), np.bool_)
    valid[:, :70] = False
    pair = Pair(np.stack([picture, picture]).astype(np.uint8), flow, valid)
    box = (10, 60, 48, 64)
    plain, mirrored = (cut(pair, box, (96, 128), flip) for flip in (False, True))
    assert plain.flow[0, :, 5, 5].tolist() == [4, 2]
    assert mirrored.flow[0, :, 5, 5].tolist() == [-4, 2]
    fx, fy, cx, cy = plain.camera[0].tolist()
    assert fx == fy == pytest.approx(2 * 0.9 * WIDTH)
    assert (cx, cy) == (2 * (64 - 60), 2 * (48 - 10))
    assert mirrored.camera[0, 2] == 128 - cx
    assert torch.equal(mirrored.first, plain.first.flip(3))
    assert torch.equal(mirrored.valid, plain.valid.flip(2))
    assert not plain.valid[:, :, :20].any()
    assert plain.valid[:, :, 21:].all()


def test_batches_depend_on_the_seed_and_both_frames_have_the_same_colours(tmp_path: Path) -> None:
    from depthrt_training.data.frame_pairs import Pairs, PairSource, training_pairs

    encode(tmp_path / "still.mp4", pan(20, (0, 0)))
    PairSource(tmp_path).write(tmp_path / "pairs.npz")
    pairs = Pairs(tmp_path / "pairs.npz")
    one, again, other = (
        training_pairs(pairs, 3, (64, 96), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.first.shape == (3, 3, 64, 96)
    assert torch.equal(one.first, again.first)
    assert not torch.equal(one.first, other.first)
    assert (one.first - one.second).abs().mean() < 2
    assert one.first.mean(dim=(1, 2, 3)).std() > 1


def test_prepare_writes_the_pairs_alone_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from depthrt_training import prepare

    (tmp_path / "data/video").mkdir(parents=True)
    encode(tmp_path / "data/video/a.mp4", pan(17, (0, 0)))  # still: near pairs alone
    given = ["prepare.py", "--data", str(tmp_path / "data"), "--work", str(tmp_path), "--pairs"]
    monkeypatch.setattr(sys, "argv", given)
    prepare.main()
    prepare.main()
    assert capsys.readouterr().out == "pairs: 7 samples\npairs: kept from before\n"
    assert (tmp_path / "pairs.npz").is_file()
    assert not (tmp_path / "cache").exists(), "whose every file is a source of labels"
    encode(tmp_path / "data/video/b.mp4", pan(10, (1.5, 0)))
    with pytest.raises(SystemExit):
        prepare.main()
    assert "differs from what is asked for in pictures" in capsys.readouterr().err


def test_a_run_without_motion_has_the_origin_that_it_had(tmp_path: Path) -> None:
    from dataclasses import asdict

    from depthrt_training.config import read_config, run_provenance
    from depthrt_training.data.provenance import hash_of_text

    file = tmp_path / "config.toml"
    plain = CONFIG.replace("FULL", "true").replace("BITS", "0")
    file.write_text(plain)
    config = read_config(file)
    before = asdict(config)
    del before["motion"], before["teacher_ensemble"], before["size"], before["stages"][0]["images"]
    expected = hash_of_text(json.dumps(before, sort_keys=True))
    assert run_provenance(config, None)["configuration"] == expected
    released = run_provenance(read_config(TRAINING / "configs/runs/5.toml"), None)["configuration"]
    assert released == "627039283c32ef68"
    file.write_text(plain + MOTION)
    assert run_provenance(read_config(file), None)["configuration"] != expected
    file.write_text("size = [64, 96]\n" + plain)
    assert run_provenance(read_config(file), None)["configuration"] != expected
    ninth = read_config(TRAINING / "configs/runs/9.toml")
    assert ninth.motion is not None
    assert ninth.motion.pairs == 4


@pytest.mark.parametrize(("full", "bits"), [("true", 0), ("false", 7)])
def test_a_few_steps_lower_the_flicker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str, bits: int
) -> None:
    from depthrt_training import trainer as training
    from depthrt_training.config import read_config
    from depthrt_training.data.frame_pairs import Pairs, PairSource, held_out_errors
    from depthrt_training.data.label_cache import Sample
    from depthrt_training.model.network import depthrt_s
    from depthrt_training.model.weights_file import save_weights
    from depthrt_training.trainer import Trainer

    monkeypatch.setattr(training, "BATCH", 4)
    encode(tmp_path / "pan.mp4", pan(24, (2.5, 1.0), size=(64, 96)))
    PairSource(tmp_path).write(tmp_path / "pairs.npz")
    pairs = Pairs(tmp_path / "pairs.npz")
    config_file, start = tmp_path / "config.toml", tmp_path / "start.safetensors"
    torch.manual_seed(0)
    network = depthrt_s()
    with torch.no_grad():  # depth with a spread, that flickers
        network.head[-1].weight *= 100
        network.head[-1].bias.fill_(2.5)
    save_weights(start, network.state_dict(), {})
    picture = pan(1, (0, 0))[0]
    target = np.repeat(np.linspace(1, 4, HEIGHT)[:, None], WIDTH, axis=1).astype(np.float16)
    samples = {"photographs": [Sample(picture, target, None, float("nan"))]}

    def flicker(trainer: Trainer) -> float:
        def predict(image: Any) -> Any:
            return trainer._predict(trainer.average, image, False, bits)

        device = torch.device("cpu")
        return held_out_errors(pairs, predict, (64, 96), 4, device)["motion_temporal"]

    after = []
    for temporal in (0.0, 5.0):
        plain = CONFIG.replace("FULL", full).replace("BITS", str(bits))
        plain = plain.replace("batch = 8", "batch = 2")
        motion = MOTION.replace("temporal = 0.5", f"temporal = {temporal}")
        motion = motion.replace("pairs = 4", "pairs = 2")
        config_file.write_text("size = [64, 96]\n" + plain + motion)
        trainer = Trainer(read_config(config_file), tmp_path, start)
        start_flicker = flicker(trainer)
        for _ in range(4):
            moving = trainer.draw_pairs(pairs, (64, 96))
            assert trainer.train_step(trainer.draw(samples, None), moving).isfinite()
        after.append(flicker(trainer))
    assert after[1] < 0.8 * start_flicker
    assert after[1] < 0.8 * after[0]
    errors = trainer.validate(samples, pairs)
    assert list(errors) == ["photographs", "score", "motion_temporal", "motion_flow"]
    assert errors["score"] == errors["photographs"]

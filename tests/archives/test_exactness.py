"""Outputs are those of one run of `depthrt run`, however the work is cut and whatever dies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from depthrt.jobs.run import Job, execute
from depthrt.temporal.frame_reuse import Reuse
from depthrt.temporal.keyframes import Keyframes
from helpers.files.archived import encode, facts, run_batch
from helpers.models.small_model import build_model

CLIPS: dict[str, dict[str, Any]] = {
    "b-frames, sound": {"sound": True, "options": {"bf": "3"}},
    "open groups of pictures": {"options": {"x264-params": "open-gop=1:bframes=3"}, "gop": 23},
    "irregular times": {"irregular": True, "gop": 11, "options": {"bf": "2"}},
    "mpeg-2": {"codec": "mpeg2video", "gop": 14, "options": {"bf": "2"}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips and a model."""
    made = tmp_path_factory.mktemp("clips")
    build_model(made / "tiny.onnx")
    for name, settings in CLIPS.items():
        suffix = ".mkv" if "mpeg" in name else ".mp4"
        encode(made / f"{name.replace(' ', '_').replace(',', '')}{suffix}", **settings)
    return made


def clip_of(folder: Path, name: str) -> Path:
    """The file of a clip."""
    (found,) = folder.glob(f"{name.replace(' ', '_').replace(',', '')}.m*")
    return found


@pytest.mark.parametrize("form", ["mp4", "mkv", "npz", "png"])
@pytest.mark.parametrize("name", CLIPS)
def test_segments_make_the_output_of_one_run(
    folder: Path, tmp_path: Path, name: str, form: str
) -> None:
    clip, model = clip_of(folder, name), folder / "tiny.onnx"
    plain = tmp_path / ("plain" if form == "png" else f"plain.{form}")
    execute(Job(str(clip), plain, str(model), provider="cpu"))
    suffix = "" if form == "png" else f".{form}"
    for seed in range(2):
        out = tmp_path / f"out{seed}"
        totals, engine = run_batch(
            [clip], seed, 0.3, out=out, model=model, form=form, segment_s=0.5 + seed
        )
        assert not totals.failures
        assert {task.kind for task in engine.tasks} == {"start", "run", "ahead"}
        assert facts(out / f"{clip.stem}_depth{suffix}") == facts(plain)


@pytest.mark.parametrize("view", ["side", "overlay"])
def test_pictures_are_handed_over_too(folder: Path, tmp_path: Path, view: Any) -> None:
    clip, model = clip_of(folder, "b-frames, sound"), folder / "tiny.onnx"
    plain = tmp_path / "plain.mp4"
    execute(Job(str(clip), plain, str(model), view=view, provider="cpu"))
    out = tmp_path / "out"
    _, engine = run_batch([clip], 1, 0.2, out=out, model=model, view=view, segment_s=0.7)
    assert {task.kind for task in engine.tasks} == {"start", "run"}  # pictures are not kept aside
    assert facts(out / f"{clip.stem}_depth.mp4") == facts(plain)


def test_reuse_is_handed_over(folder: Path, tmp_path: Path) -> None:
    clip, model = clip_of(folder, "irregular times"), folder / "tiny.onnx"
    plain, reuse = tmp_path / "plain.npz", Reuse(threshold=40.0)
    summary = execute(Job(str(clip), plain, str(model), reuse=reuse, provider="cpu"))
    assert summary.reused
    out = tmp_path / "out"
    run_batch([clip], out=out, model=model, reuse=reuse, form="npz", segment_s=0.4)
    assert facts(out / f"{clip.stem}_depth.npz") == facts(plain)


@pytest.mark.parametrize("form", ["mp4", "mkv", "npz", "png"])
def test_keyframes_are_handed_over(folder: Path, tmp_path: Path, form: str) -> None:
    clip = encode(tmp_path / "clip.mp4", 75, gop=3, irregular=True, options={"bf": "2"})
    plain, model = tmp_path / f"plain.{form}".removesuffix(".png"), folder / "tiny.onnx"
    keyframes = Keyframes(0.008, audit=0.3)
    summary = execute(Job(str(clip), plain, str(model), keyframes=keyframes, provider="cpu"))
    assert summary.keyframes is not None
    assert summary.keyframes["interpolated"]
    for seed, segment_s in enumerate((0.1, 0.4, 1.3)):  # of fewer frames than a gap, and of more
        out = tmp_path / f"out{seed}"
        totals, engine = run_batch(
            [clip], seed, 0.3, out=out, model=model, form=form, keyframes=keyframes,
            segment_s=segment_s,
        )  # fmt: skip
        assert not totals.failures
        assert max(task.segment for task in engine.tasks) >= 2
        made = out / f"{clip.stem}_depth.{form}".removesuffix(".png")
        assert facts(made) == facts(plain)


def test_a_key_frame_that_is_none_leaves_a_video_whole(folder: Path, tmp_path: Path) -> None:
    """Intra refresh: pictures are mended from column to column, and none begins anew."""
    clip = encode(
        tmp_path / "refresh.mp4", 120, gop=20, options={"x264-params": "intra-refresh=1:bframes=0"}
    )
    model, plain = folder / "tiny.onnx", tmp_path / "plain.npz"
    execute(Job(str(clip), plain, str(model), provider="cpu"))
    out = tmp_path / "out"
    totals, _ = run_batch([clip], out=out, model=model, form="npz", segment_s=0.5)
    assert not totals.failures
    assert facts(out / "refresh_depth.npz") == facts(plain)

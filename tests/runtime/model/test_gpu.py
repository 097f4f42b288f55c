"""depthrt on an NVIDIA GPU: `pytest -m gpu`, with the extra `gpu`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from depthrt import DepthModel, open_source, read_depth
from depthrt.jobs.tune import tune as tuning
from depthrt.model.providers import SessionOptions
from depthrt.system import cuda
from depthrt_export.proof.fidelity import Map, fidelity
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import probe

pytestmark = pytest.mark.gpu

MakeClip = Callable[..., Path]

NETWORKS = Path(__file__).parents[2] / "networks"

CUDA = "CUDAExecutionProvider"
MEAN_TOLERANCE = 0.01
MAX_TOLERANCE = 0.1
"""Shares of the depth's spread. The CPU fuses int8 chains, CUDA computes each step in float, so
that single values fall on the next of 256 levels: on the CPU, unfused, 0.003 and 0.04."""


def cuda_failure(model_path: Path) -> str:
    """Why onnxruntime, asked past depthrt, does not compute on CUDA here; empty where it does."""
    if CUDA not in ort.get_available_providers():
        return "this onnxruntime has no CUDA provider: install the gpu extra"
    cuda.preload("cuda")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(model_path), options, providers=[CUDA])
    except Exception as error:  # onnxruntime's own classes derive from nothing narrower
        return f"onnxruntime fails on CUDA here: {error}"
    bound = session.get_providers()[0]
    return "" if bound == CUDA else f"onnxruntime bound {bound}: no GPU, or CUDA or cuDNN missing"


@pytest.fixture(autouse=True)
def _needs_a_gpu(model_path: Path) -> None:
    """Skips where onnxruntime itself cannot use one."""
    if failure := cuda_failure(model_path):
        pytest.skip(failure)


@pytest.fixture
def on_gpu() -> DepthModel:
    """The built-in model on the GPU."""
    return DepthModel.load(provider="cuda")


def assert_close(reference: Map, depth: Map) -> None:
    found = fidelity(reference, depth)
    assert found.mean_error < MEAN_TOLERANCE
    assert found.max_error < MAX_TOLERANCE


def test_the_gpu_sees_what_the_cpu_sees(on_gpu: DepthModel) -> None:
    assert on_gpu.provider == "cuda"
    cpu = DepthModel.load(provider="cpu")
    images = [frame.pixels for frame in open_source("demo").frames()][::12]
    assert len(images) > 3
    for image in images:
        assert_close(cpu(image).values, on_gpu(image).values)


def test_a_batch_gives_what_its_frames_give_alone(on_gpu: DepthModel) -> None:
    images = [frame.pixels for frame in open_source("demo").frames()][:20:5]
    for together, image in zip(on_gpu.infer_images(images), images, strict=True):
        assert_close(on_gpu(image).values, together.values)


@pytest.mark.parametrize("provider", ["cuda", "auto"])
def test_run_writes_a_video(command: Command, tmp_path: Path, provider: str) -> None:
    video = tmp_path / "depth.mp4"
    frames = sum(1 for _ in open_source("demo").frames())
    ended = command("run", "demo", "-o", video, "--provider", provider, "--json")
    assert ended.code == 0, ended.err
    assert (ended.document["provider"], ended.document["frames"]) == ("cuda", frames)
    assert len(probe(video).times_s) == frames


@pytest.mark.parametrize("batch", [1, 4])
def test_run_writes_the_depth_that_the_cpu_gives(
    command: Command, tmp_path: Path, batch: int
) -> None:
    depths: dict[str, list[Map]] = {}
    for provider in ("cpu", "cuda"):
        file = tmp_path / f"{provider}.npz"
        ended = command("run", "demo", "-o", file, "--provider", provider, "--batch", batch,
                        "--max-frames", 10, "--json")  # fmt: skip
        assert ended.code == 0, ended.err
        assert (ended.document["provider"], ended.document["frames"]) == (provider, 10)
        depths[provider] = [np.asarray(d.values) for d in read_depth(file)]
    assert len(depths["cuda"]) == 10
    for reference, depth in zip(depths["cpu"], depths["cuda"], strict=True):
        assert_close(reference, depth)


def test_many_sources_share_the_gpu(command: Command, make_clip: MakeClip, tmp_path: Path) -> None:
    clips = [make_clip(frames=frames, size=(96, 128)) for frames in (7, 12, 25)]
    ended = command("run", *clips, "-o", tmp_path, "--provider", "cuda", "--batch", 3, "--json")
    assert ended.code == 0, ended.err
    total = ended.document
    assert (total["frames"], total["failed"]) == (44, 0)
    assert sorted(each["frames"] for each in total["streams"]) == [7, 12, 25]


def test_a_float16_export_runs(tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    exported = outcome(
        spawn(
            "export", f"{NETWORKS / 'small_unet.py'}:small_unet", "-o", half, "--precision", "fp16",
            "--kind", "inverse-depth", "--size", "64x96", "--dynamic", "batch",
        ),
        timeout_s=100,
    )  # fmt: skip
    assert exported.code == 0, exported.err
    on_gpu, on_cpu = (DepthModel.load(half, provider=name) for name in ("cuda", "cpu"))
    assert (on_gpu.provider, on_gpu.spec.precision) == ("cuda", "float16")
    images = [frame.pixels for frame in open_source("demo").frames()][:20:5]
    for given, expected in zip(
        on_gpu.infer_images(images), on_cpu.infer_images(images), strict=True
    ):
        assert_close(expected.values, given.values)


def test_doctor_says_that_it_works(command: Command) -> None:
    ended = command("doctor", "--json")
    # 1: another wheel of onnxruntime may stand elsewhere on the path.
    assert ended.code in (0, 1)
    assert ended.document["providers"]["cuda"] == "works"


def test_info_says_what_is_bound(command: Command) -> None:
    assert command("info", "depthrt-s", "--json").document["bound_provider"] == "cuda"


def test_tune_tries_the_gpu(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert SessionOptions("cuda") in tuning.configurations()
    few = [SessionOptions("cuda"), SessionOptions("cpu", 2)]
    monkeypatch.setattr(tuning, "configurations", lambda: few)
    ended = command("tune", "--seconds", 3, "--json")
    assert ended.code == 0, ended.err
    tried = [c for c in ended.document["candidates"] if c["provider"] == "cuda"]
    assert tried
    assert all(c["note"] == "" and c["frame_ms"] > 0 for c in tried)
    assert max(c["error"] for c in tried) < MEAN_TOLERANCE


def test_bench_measures_it(command: Command) -> None:
    ended = command("bench", "depthrt-s", "--providers", "cuda,cpu", "--batches", "1,4",
                    "--duration", 0.2, "--no-fresh", "--json")  # fmt: skip
    assert ended.code == 0, ended.err
    bound = [cell["bound_provider"] for cell in ended.document["cells"]]
    assert sorted(bound) == ["cpu", "cpu", "cuda", "cuda"]


def test_a_process_without_torch_finds_cuda() -> None:
    ended = outcome(spawn("info", "depthrt-s", "--provider", "cuda", "--json"))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["bound_provider"] == "cuda"

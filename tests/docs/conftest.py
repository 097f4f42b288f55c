"""The files that README and documentation name, made from what comes with depthrt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from depthrt.model.catalogue.registry import find_model

ROOT = Path(__file__).parents[2]
DATA = ROOT / "runtime" / "depthrt" / "data"
CLIP = DATA / "demo.mp4"
_SECONDS, _RATE = 3, 12
# A trained network that wants ImageNet's normalisation, as a user may have one.
_PROJECT = '''
"""The class of a user's own network."""
import torch
from depthrt_training.model.network import PIXEL_MEAN, PIXEL_SCALE, depthrt_s

class MyDepthNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = depthrt_s()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = 255 * (x * self.std + self.mean)
        return self.inner((pixels - PIXEL_MEAN) / PIXEL_SCALE)
'''
_NETWORK = """
from my_project import MyDepthNet

def build():
    return MyDepthNet()
"""
# The second of each pair is faster, or sees worse.
_MODELS = {
    "mine.onnx": "depthrt-s", "small.onnx": "depthrt-xs",
    "new.onnx": "depthrt-s", "old.onnx": "depthrt-xs",
}  # fmt: skip
SETTINGS = """
DEPTHRT = {
    "kind": "inverse-depth", "size": (192, 320), "multiple_of": 32,
    "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
}
"""


@pytest.fixture(scope="session")
def named_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clip.mp4, photo.jpg, frames/, sets/street and the like."""
    folder = tmp_path_factory.mktemp("named")
    clip = _clip(folder / "clip.mp4", _SECONDS)
    (folder / "clips").mkdir()
    for name in ("clips/front.mp4", "clips/yard.mp4"):
        shutil.copy(clip, folder / name)
    (folder / "rides").mkdir()
    _clip(folder / "rides" / "monday.mp4", 6, mirrored=True)  # another street than clip.mp4's
    labelled = [int(path.stem) for path in sorted((DATA / "demo_depth").glob("*.png"))]
    pictures = dict(_pictures(labelled))
    for place in ("frames", "photos", "sets/street/rgb", "sets/street/depth"):
        (folder / place).mkdir(parents=True)
    for number, picture in pictures.items():
        assert cv2.imwrite(str(folder / "photos" / f"{number:06d}.jpg"), picture[:, ::-1])
        assert cv2.imwrite(str(folder / "sets/street/rgb" / f"{number:06d}.jpg"), picture)
        assert cv2.imwrite(str(folder / "frames" / f"{number:06d}.png"), picture)
        depth = DATA / "demo_depth" / f"{number:06d}.png"
        shutil.copy(depth, folder / "sets" / "street" / "depth" / depth.name)
    assert cv2.imwrite(str(folder / "photo.jpg"), pictures[labelled[0]])
    about = json.loads((DATA / "demo_depth" / "dataset.json").read_text())
    facts = {key: about[key] for key in ("depth_unit_m", "min_depth_m", "max_depth_m")}
    (folder / "sets" / "street" / "dataset.json").write_text(json.dumps({**facts, "invalid": [0]}))
    return folder


@pytest.fixture(scope="session")
def own_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with my_project.py and best.pt: a trained network of a user's own."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    folder = tmp_path_factory.mktemp("own")
    (folder / "my_project.py").write_text(_PROJECT)
    space: dict[str, Any] = {}
    exec(compile(_PROJECT, "my_project.py", "exec"), space)
    network = space["MyDepthNet"]()
    state = load_file(ROOT / "training" / "weights" / "depthrt-s.safetensors")
    network.inner.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    torch.save(network.state_dict(), folder / "best.pt")
    return folder


@pytest.fixture(scope="session")
def file_of_others(own_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network as an ONNX file that says nothing of itself."""
    import torch

    from depthrt_export.console import quiet_torch

    space: dict[str, Any] = {}
    exec(compile(_PROJECT, "my_project.py", "exec"), space)
    network = space["MyDepthNet"]().eval()
    network.load_state_dict(torch.load(own_network / "best.pt", weights_only=True))
    path = tmp_path_factory.mktemp("others") / "model.onnx"
    with quiet_torch():
        torch.onnx.export(
            network, (torch.zeros(1, 3, 192, 320),), path, dynamo=True, verbose=False,
            input_names=["input"], output_names=["output"], opset_version=18, external_data=False,
        )  # fmt: skip
    return path


@pytest.fixture
def prepared(
    tmp_path: Path, named_files: Path, request: pytest.FixtureRequest
) -> Callable[[str], Path]:
    """Make a folder with the files that a text names and does not make itself."""

    def prepare(text: str) -> Path:
        shutil.copytree(named_files, tmp_path, dirs_exist_ok=True)
        if "my_net.py" in text:
            shutil.copytree(request.getfixturevalue("own_network"), tmp_path, dirs_exist_ok=True)
            said = "" if "--mean" in text and "DEPTHRT" not in text else SETTINGS
            (tmp_path / "my_net.py").write_text(_NETWORK + said)
        if "model.onnx -o" in text:
            shutil.copy(request.getfixturevalue("file_of_others"), tmp_path / "model.onnx")
        if "./depth-anything-v2-small-hf" in text:  # the same layers, few and not trained
            from experiments.quantisation.depth_families import FAMILIES, save

            save(FAMILIES["depth-anything"], tmp_path / "depth-anything-v2-small-hf")
        for name, model in _MODELS.items():
            if f"-o {name}" not in text and name in text:
                shutil.copy(find_model(model), tmp_path / name)
        return tmp_path

    return prepare


def _clip(path: Path, seconds: int, *, mirrored: bool = False) -> Path:
    """The first seconds of the built-in clip at half its size and rate."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as made:
        stream: Any = made.add_stream("libx264", _RATE, {"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number, decoded in enumerate(source.decode(video=0)):
            if number % 2 or number >= 2 * seconds * _RATE:
                continue
            picture = decoded.reformat(320, 180, "rgb24").to_ndarray()
            picture = np.ascontiguousarray(picture[:, :: -1 if mirrored else 1])
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number // 2, Fraction(1, _RATE)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def _pictures(numbers: list[int]) -> list[tuple[int, Any]]:
    """Frames of the built-in clip by number, BGR."""
    with av.open(str(CLIP)) as source:
        decoded = enumerate(source.decode(video=0))
        return [(n, frame.to_ndarray(format="bgr24")) for n, frame in decoded if n in numbers]

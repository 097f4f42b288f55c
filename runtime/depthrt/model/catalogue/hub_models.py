"""Published depth networks that ``depthrt pull NAME`` fetches from the Hugging Face hub.

Repositories, files, revisions and hashes are those that several public programs fetch; licences are
those of the model cards. **None of these files was tried**: the hub could not be reached where this
table was written, so each says ``tried=False``. What is fetched is proven all the same: it runs on
real frames, and what is made of it computes what it computes.

Not listed, as no file was found that this format can hold: ZipDepth (no ONNX file on the hub is
known), Depth-Anything-3 (its input has five dimensions), Metric3D (its metres need the camera's
focal length).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthrt.errors import UsageError
from depthrt.files.user_cache import user_cache
from depthrt.spec import Kind, Unit

Three = tuple[float, float, float]

HUB = "https://huggingface.co"
PREFIX = "hf:"
IMAGENET_MEAN: Three = (0.485, 0.456, 0.406)
IMAGENET_STD: Three = (0.229, 0.224, 0.225)
HALF: Three = (0.5, 0.5, 0.5)
_PLACE = re.compile(
    PREFIX + r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./ -]+?))?(?:@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True)
class HubModel:
    """One published network.

    - ``repo``, ``file``, ``revision``: where it is on the hub;
    - ``sha256``: of the file; empty where it is not known;
    - ``size_mb``: of the download in megabytes; None where it is not known;
    - ``form``: ``onnx``, or ``transformers`` for weights of PyTorch, whose own files say the rest;
    - ``kind``, ``unit``: what its values mean;
    - ``size``: height and width that it is fed, both multiples of ``multiple_of``;
    - ``mean``, ``std``: a pixel p in 0..255 reaches it as (p / 255 - mean) / std;
    - ``output``: the depth among several outputs;
    - ``tried``: whether depthrt's makers have pulled and run it.
    """

    name: str
    repo: str
    file: str
    licence: str
    kind: Kind
    size: tuple[int, int]
    mean: Three
    std: Three
    revision: str = "main"
    sha256: str = ""
    size_mb: float | None = None
    unit: Unit | None = None
    multiple_of: int = 1
    output: str = ""
    form: Literal["onnx", "transformers"] = "onnx"
    tried: bool = False

    @property
    def source(self) -> str:
        """The address of the file's page on the hub."""
        return f"{HUB}/{self.repo}/blob/{self.revision}/{self.file}"

    @property
    def meaning(self) -> str:
        """What its values mean, in words."""
        return "depth in metres" if self.unit else self.kind.replace("_", " ")


HUB_MODELS = (
    HubModel(
        name="depth-anything-v2-small",
        repo="onnx-community/depth-anything-v2-small",
        file="onnx/model.onnx",
        revision="4472b7362082ad9968fee890ca0f1e5aca36b93d",
        sha256="afb6a5c28f3b6bf1618c6e43f02073ef9dfdc70e937502d51603e57b0a1df10c",
        size_mb=99.1,
        licence="Apache-2.0",
        kind="inverse_depth",
        size=(518, 518),
        multiple_of=14,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    HubModel(
        name="depth-anything-v2-base",
        repo="onnx-community/depth-anything-v2-base",
        file="onnx/model.onnx",
        revision="dd4557d492cd7b563738ac8d9ccff9094620983c",
        sha256="dab40f67d5ead5e0ed52acfae41a717a708b02bc57f6cb761c5de828f26a7289",
        size_mb=388.9,
        licence="CC-BY-NC-4.0",  # no commercial use
        kind="inverse_depth",
        size=(518, 518),
        multiple_of=14,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    HubModel(
        name="depth-anything-v2-metric-indoor-small",
        repo="depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
        file="model.safetensors",
        form="transformers",
        revision="8078d68a9c75a972131914f6afd0c1723be0da7f",
        size_mb=99.2,
        licence="Apache-2.0",
        kind="depth",
        unit="m",
        size=(518, 518),
        multiple_of=14,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    HubModel(
        name="depth-anything-v2-metric-outdoor-small",
        repo="depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf",
        file="model.safetensors",
        form="transformers",
        size_mb=99.2,
        licence="Apache-2.0",
        kind="depth",
        unit="m",
        size=(518, 518),
        multiple_of=14,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    HubModel(
        name="midas-small",
        repo="julienkay/sentis-MiDaS",
        file="onnx/midas_v21_small_256.onnx",
        sha256="b0a5b3f12625137e626805167907fe0410665bec671685d59daaa2daab19f977",
        size_mb=66.4,
        licence="MIT",
        kind="inverse_depth",
        size=(256, 256),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    HubModel(
        name="dpt-hybrid-midas",
        repo="Xenova/dpt-hybrid-midas",
        file="onnx/model.onnx",
        revision="8af5a62e326ba3e842759aa27e13008c1c758db5",
        sha256="2eca68239006c64af94bdfa68464f34d7627c3dca7bb02932636e616c55a39ff",
        size_mb=533.1,
        licence="Apache-2.0",
        kind="inverse_depth",
        size=(384, 384),
        mean=HALF,
        std=HALF,
    ),
    HubModel(
        name="dpt-large",
        repo="Xenova/dpt-large",
        file="onnx/model.onnx",
        sha256="68890009c34e0c888054ad7ec323a415288ff4392eca939206037210667cfb33",
        licence="Apache-2.0",
        kind="inverse_depth",
        size=(384, 384),
        mean=HALF,
        std=HALF,
    ),
    HubModel(
        name="zoedepth-nyu-kitti",
        repo="Heliosoph/zoedepth-nyu-kitti-onnx",
        file="model.onnx",
        revision="181dcea7dfa1bc7ca7daaec094e0562446ca11fb",
        size_mb=1370.0,
        licence="MIT",
        kind="depth",
        unit="m",
        size=(384, 512),
        multiple_of=32,
        mean=HALF,
        std=HALF,
    ),
    HubModel(
        name="depth-pro",
        repo="onnx-community/DepthPro-ONNX",
        file="onnx/model_fp16.onnx",
        revision="feefb662b967b477367485dc4f133aeecd638ba4",
        licence="apple-ascl",  # the card's; Apple's own weights are for research alone
        kind="depth",
        unit="m",
        size=(1536, 1536),
        mean=HALF,
        std=HALF,
        output="predicted_depth",
    ),
)


@dataclass(frozen=True)
class HubPlace:
    """A repository of the hub, and what of it: ``hf:org/repo[/file.onnx][@revision]``."""

    repo: str
    file: str = ""
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> HubPlace:
        """Parse what begins with ``hf:``.

        Raises:
            UsageError: it names no repository.
        """
        found = _PLACE.fullmatch(text)
        parts = () if found is None else (found["file"] or "").split("/")
        if found is None or ".." in parts:
            raise UsageError(f"{text!r} is not hf:ORG/REPO, hf:ORG/REPO/FILE.onnx or one with @REV")
        return cls(found["repo"], found["file"] or "", found["revision"] or "main")


def hub_model(name: str) -> HubModel | None:
    """The row of a name; None if there is none."""
    return next((row for row in HUB_MODELS if row.name == name), None)


def pulled_folder() -> Path:
    """The folder of models that were pulled: ``~/.cache/depthrt/models``.

    Raises:
        RuntimeError: there is no home folder.
    """
    return user_cache("models")


def pulled_file(name: str) -> Path:
    """Where a name of the table, or a place of the hub (``hf:...``), lies once it is pulled.

    Raises:
        UsageError: a place that names no repository.
        RuntimeError: there is no home folder.
    """
    if not name.startswith(PREFIX):
        return pulled_folder() / f"{name}.onnx"
    place = HubPlace.parse(name)
    parts = [part.removesuffix(".onnx") for part in f"{place.repo}/{place.file}".split("/") if part]
    revision = "" if place.revision == "main" else f"@{place.revision.replace('/', '--')}"
    return pulled_folder() / f"hf--{'--'.join(parts)}{revision}.onnx"


def pulled_models() -> dict[str, Path]:
    """The files that were pulled, by name, as ``-m`` takes them."""
    try:
        return {path.stem: path for path in sorted(pulled_folder().glob("*.onnx"))}
    except (OSError, RuntimeError):
        return {}

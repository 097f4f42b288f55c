"""Depth networks in Hugging Face's form: a model id of the hub, or a folder of ``save_pretrained``.

Everything comes from the files: the architecture and what its output means from ``config.json``,
the weights from the checkpoint, normalisation and size from ``preprocessor_config.json``, the
licence from the model card. No code from a repository is run.

Where the contract of a depthrt model differs from transformers' pipeline:

- A processor that keeps the aspect (Depth Anything, DPT-BEiT, ZoeDepth) becomes a stretch to the
  processor's height and width: the graph has one size. ``--size`` gives another aspect.
- ZoeDepth's processor also reflects a border around the picture that its post-processing cuts off
  again, and its authors average with the mirrored picture; the graph does neither.
- Pillow's and torchvision's bicubic and bilinear average over the source pixels when they shrink
  a picture (antialias); frames are resized as the networks' own repositories do it, by OpenCV.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from depthrt.errors import ModelError, UsageError
from depthrt.system.process_settings import Borrowed, Undo
from depthrt_export.options import SourceOptions
from depthrt_export.sources.checkpoint import checkpoint_facts
from depthrt_export.sources.huggingface_config import (
    DEPTH_PRO_INVERSE_RANGE,
    PROCESSOR_SETTINGS,
    Config,
    from_processor,
    hub_kernel,
    meaning,
    stride,
)
from depthrt_export.sources.network import describe
from depthrt_export.sources.outputs import named_tensors
from depthrt_export.sources.torch_network import TorchNetwork

_SHOWN = 3
_STRETCHED = (
    "stretch, though the processor keeps the aspect: the file has one size; "
    "--resize pad, or --resize keep-aspect with --dynamic size, keeps it"
)


def load_huggingface(source: str, options: SourceOptions | None = None) -> TorchNetwork:
    """The depth network of a folder or model id, with its processor's settings; options win.

    Raises:
        UsageError: no such folder, or the hub cannot be reached or does not know the id; or what
            neither file nor options say (GLPN's processor, for one, fixes no size).
        ModelError: no depth model, or files of it that are missing, unreadable or do not fit.
    """
    options = options or SourceOptions()
    if options.checkpoint is not None:
        raise UsageError(f"{source} brings its own weights: leave out --checkpoint")
    with _quiet():
        config = _load_config(source)
        settings = _load_processor(source)
        kind, unit, valid_range = meaning(config)
        known = SourceOptions(
            kind=kind,
            unit=unit if options.kind is None else None,
            valid_range=valid_range if options.kind is None else None,
            licence=_licence(source),
            **from_processor(settings, stride(config)),
        )
        model, missing = _load_model(source, config)
    described = describe(options.over(known), Path(source).name, _facts(source, config))
    network = TorchNetwork.of(_as_module(model, config), described)
    _require_complete(network, model, missing, source)
    # Normalisation and direction are the model's own word, so nothing of them is assumed.
    stretched = settings.get("keep_aspect_ratio") and options.resize is None
    assumed = {"resize": _STRETCHED} if stretched else {}
    return replace(network, assumed=assumed, witnessed=False)


class PredictedDepth(nn.Module):
    """The depth map of a transformers model: normalised pixels N,3,H,W to N,h,w."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        depth: Tensor = self.model(pixel_values=pixels).predicted_depth
        return depth


class MetricDepthPro(nn.Module):
    """Depth Pro's depth in metres, N,h,w, and field of view in degrees, N, of normalised pixels.

    The network predicts the inverse depth C that a camera with a focal length of one image width
    would see, and the horizontal field of view in degrees. With the focal length
    f = width / (2 tan(fov / 2)) the inverse depth is C * width / f = C * 2 tan(fov / 2)
    (Bochkovskii et al. 2024, and ``DepthProImageProcessor.post_process_depth_estimation``, which
    clamps it as here). The width cancels: no focal length is asked for.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        output = self.model(pixel_values=pixels)
        fov_deg: Tensor = output.field_of_view.reshape(-1)
        half_angle = torch.deg2rad(fov_deg).reshape(-1, 1, 1) / 2
        inverse: Tensor = output.predicted_depth * (2 * torch.tan(half_angle))
        return {"depth": 1 / inverse.clamp(*DEPTH_PRO_INVERSE_RANGE), "fov_deg": fov_deg}


def _as_module(model: nn.Module, config: Config) -> nn.Module:
    metric = config.model_type == "depth_pro" and config.use_fov_model
    return (MetricDepthPro(model) if metric else PredictedDepth(model)).eval()


def _load_config(source: str) -> Config:
    library = _transformers()
    folder = Path(source)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(f"{source} has no config.json: it is no folder of save_pretrained")
    try:
        config = library.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except OSError as error:
        if folder.is_dir():
            raise ModelError(f"{source}/config.json cannot be read: {_line(error)}") from error
        raise UsageError(
            f"{source} is no folder here, and the Hugging Face hub does not give it: {_line(error)}"
        ) from error
    except Exception as error:  # transformers documents no base class
        raise ModelError(f"{source} has a config.json that is of no use: {_line(error)}") from error
    if type(config) not in library.MODEL_FOR_DEPTH_ESTIMATION_MAPPING:
        known = ", ".join(c.model_type for c in library.MODEL_FOR_DEPTH_ESTIMATION_MAPPING)
        raise ModelError(
            f"{source} is a {config.model_type} model, which has no depth head in transformers "
            f"(these have: {known})"
        )
    if len(getattr(config, "bin_configurations", None) or []) > 1:
        raise ModelError(
            f"{source} chooses one of its metric heads for each batch, which no graph can hold: "
            "take a ZoeDepth with one head, such as Intel/zoedepth-nyu or Intel/zoedepth-kitti"
        )
    kernel = hub_kernel(config)
    if kernel:
        raise ModelError(
            f"{source} wants its attention computed by code of the Hugging Face hub ({kernel}): "
            "take attn_implementation out of its config.json"
        )
    return config


def _load_processor(source: str) -> dict[str, Any]:
    """The image processor's settings; its class tells those that the file leaves out.

    Where the class cannot be had (some exist for torchvision only, which is not needed here), the
    file alone has to tell them.
    """
    library = _transformers()
    try:
        try:
            processor = library.AutoImageProcessor.from_pretrained(source, trust_remote_code=False)
            return {name: getattr(processor, name, None) for name in PROCESSOR_SETTINGS}
        except (ImportError, ValueError):
            settings: dict[str, Any] = library.ImageProcessingMixin.get_image_processor_dict(
                source
            )[0]
            return settings
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{source} has no readable preprocessor_config.json, which says how pictures are "
            "prepared: take it from where the model was published"
        ) from error


def _load_model(source: str, config: Config) -> tuple[nn.Module, set[str]]:
    """The model in eval mode and float32, and the names of weights that the checkpoint lacks.

    BEiT's attention is taken as written out: torch.export takes the memory layout of a fused
    attention with a bias for another than its decomposition has, and fails.
    """
    backbone = getattr(config, "backbone_config", None)
    written_out = getattr(backbone, "model_type", "") == "beit"
    try:
        model, info = _transformers().AutoModelForDepthEstimation.from_pretrained(
            source,
            trust_remote_code=False,
            output_loading_info=True,
            attn_implementation="eager" if written_out else None,
        )
    except Exception as error:  # transformers documents no base class
        if "eights_only" in str(error):
            raise ModelError(
                f"the weights of {source} hold code{_named(str(error))}, and no code of a model's "
                "folder is run: save its state dict alone"
            ) from error
        raise ModelError(f"the weights of {source} cannot be loaded: {_line(error)}") from error
    return model.eval().float(), set(info["missing_keys"])


@torch.inference_mode()
def _require_complete(
    network: TorchNetwork, model: nn.Module, missing: set[str], source: str
) -> None:
    """Refuse a checkpoint that lacks weights which matter (DPT's have always lacked unused ones).

    Whether they matter is seen by making them NaN: depth that stays finite does not depend on them.
    """
    absent = [p for name, p in model.named_parameters() if name in missing]
    if not absent:
        return
    for parameter in absent:
        parameter.fill_(math.nan)
    output = network.module(torch.zeros(1, 3, network.input.height, network.input.width))
    if not all(bool(torch.isfinite(each).all()) for each in named_tensors(output).values()):
        names = sorted(missing)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ModelError(f"the weights of {source} lack {', '.join(names[:_SHOWN])}{more}")
    for parameter in absent:
        parameter.zero_()


def _facts(source: str, config: Config) -> dict[str, Any]:
    folder = Path(source)
    facts: dict[str, Any] = {
        "source": folder.name if folder.is_dir() else source,
        "model_type": config.model_type,
    }
    revision = getattr(config, "_commit_hash", None)
    if revision:
        facts["revision"] = revision
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return facts | checkpoint_facts(folder / name)
    return facts


def _licence(source: str) -> str:
    """The licence that the model card names, if there is a card and it names one."""
    from huggingface_hub import ModelCard

    try:
        card = _transformers().utils.cached_file(source, "README.md")
        return str(ModelCard.load(card).data.license or "") if card else ""
    except (OSError, ValueError):
        return ""


def _transformers() -> Any:
    """The library, loaded when it is needed; the types of its functions differ by version."""
    import transformers

    return transformers


def _named(refusal: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", refusal)
    return f" ({found[1]})" if found else ""


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _silence_transformers() -> Undo:
    logging = _transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()

    def undo() -> None:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()

    return undo


_quiet = Borrowed(_silence_transformers)
"""Without transformers' notes and progress bars."""

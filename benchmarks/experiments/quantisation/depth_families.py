"""Small networks with random weights of every depth family that transformers has.

Each has the architecture of the published checkpoints with few layers and channels, and goes
through the same code: for tests without a download, and for the table of exports.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from experiments.quantisation import depth_networks as networks
from experiments.quantisation.depth_networks import Model

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


@dataclass(frozen=True)
class Family:
    """How to build a network of one family, and the processor settings published with it.

    ``size`` is the height and width to export at where the processor fixes none.
    """

    build: Callable[[], Model]
    processor: dict[str, Any]
    size: tuple[int, int] | None = None


def save(family: Family, folder: Path, seed: int = 0) -> Path:
    """Write a network with random weights and its processor as ``save_pretrained`` does."""
    torch.manual_seed(seed)
    model = family.build().eval()
    randomise(model, seed)
    model.save_pretrained(folder)
    settings = {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        **family.processor,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> None:
    """Draw weights such that activations keep their size and the depth map is not flat.

    transformers' own initialisation is made for training: LayerScale at one value, zero biases
    and weights so small that the last ReLU may put out nothing but zeros.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.weight.normal_(0, module.weight[0].numel() ** -0.5, generator=generator)
        elif isinstance(module, nn.ConvTranspose2d):
            module.weight.normal_(0, len(module.weight) ** -0.5, generator=generator)
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d, nn.GroupNorm)):
            module.weight.uniform_(0.8, 1.2, generator=generator)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.normal_(0, 0.1, generator=generator)
        elif "lambda" in name:  # LayerScale of DINOv2 and BEiT
            parameter.uniform_(0.2, 1.0, generator=generator)
        elif "relative_position_bias_table" in name or "position_embeddings" in name:
            parameter.normal_(0, 0.5, generator=generator)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.out_channels == 1 and module.bias is not None:
            module.weight.abs_()
            module.bias.fill_(50 if "fov" in name else 0.2)  # degrees, or a little depth


def _dpt_processor(size: int, multiple: int = 1, keep: bool = False) -> dict[str, Any]:
    return {
        "image_processor_type": "DPTImageProcessor",
        "do_normalize": True,
        "size": {"height": size, "width": size},
        "resample": 3,
        "ensure_multiple_of": multiple,
        "keep_aspect_ratio": keep,
    }


DEPTH_ANYTHING = {**_dpt_processor(70, multiple=14, keep=True), **IMAGENET}
MIDAS_3_1 = {**_dpt_processor(64, multiple=32, keep=True), **HALF}

FAMILIES: dict[str, Family] = {
    "depth-anything": Family(lambda: networks.depth_anything("relative", 1), DEPTH_ANYTHING),
    "depth-anything-metric": Family(lambda: networks.depth_anything("metric", 20), DEPTH_ANYTHING),
    "prompt-depth-anything": Family(
        networks.prompt_depth_anything,
        {**DEPTH_ANYTHING, "image_processor_type": "PromptDepthAnythingImageProcessor"},
    ),
    "dpt-vit": Family(networks.dpt_vit, {**_dpt_processor(64), **HALF}),
    "dpt-hybrid": Family(networks.dpt_hybrid, {**_dpt_processor(64), **HALF}),
    "dpt-beit": Family(networks.dpt_beit, {**_dpt_processor(64, multiple=32, keep=True), **HALF}),
    "dpt-swinv2": Family(
        networks.dpt_swinv2, {**_dpt_processor(64, multiple=32, keep=True), **HALF}
    ),
    "dpt-dinov2": Family(
        networks.dpt_dinov2, {**_dpt_processor(70, multiple=14, keep=True), **IMAGENET}
    ),
    "zoedepth": Family(
        networks.zoedepth,
        {
            **HALF,
            "image_processor_type": "ZoeDepthImageProcessor",
            "do_normalize": True,
            "do_pad": True,
            "size": {"height": 64, "width": 96},
            "resample": 2,
            "ensure_multiple_of": 32,
            "keep_aspect_ratio": True,
        },
    ),
    "glpn": Family(
        networks.glpn,
        {"image_processor_type": "GLPNImageProcessor", "resample": 2, "size_divisor": 32},
        size=(64, 96),
    ),
    "depth-pro": Family(
        networks.depth_pro,
        {
            **HALF,
            "image_processor_type": "DepthProImageProcessorFast",
            "do_normalize": True,
            "size": {"height": 256, "width": 256},
            "resample": 2,
        },
    ),
}

DEPTH_ANYTHING_V2_SMALL = Family(
    networks.depth_anything_v2_small,
    {**_dpt_processor(518, multiple=14, keep=True), **IMAGENET},
)

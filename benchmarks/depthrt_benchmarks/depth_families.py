"""Small networks with random weights of every depth family that transformers has.

Each has the architecture of the published checkpoints with few layers and channels, and goes
through the same code: for tests without a download, and for the table of exports.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from torch import nn

Model: TypeAlias = Any  # a transformers model
Config: TypeAlias = Any  # a transformers configuration

hf: Any = transformers  # the types of its configurations differ by version

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


def _dinov2(image_size: int, patch_size: int = 14, layers: int = 4) -> Config:
    return hf.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=image_size,
        patch_size=patch_size,
        out_features=[f"stage{layer + 1}" for layer in range(layers)],
        reshape_hidden_states=False,
    )


def _small_neck() -> dict[str, Any]:
    return {"neck_hidden_sizes": [8, 12, 16, 24], "fusion_hidden_size": 16}


def _depth_anything(kind: str, max_depth: int | None) -> Model:
    config = hf.DepthAnythingConfig(
        backbone_config=_dinov2(70),
        reassemble_hidden_size=32,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=max_depth,
        **_small_neck(),
    )
    return hf.DepthAnythingForDepthEstimation(config)


def _prompt_depth_anything() -> Model:
    config = hf.PromptDepthAnythingConfig(
        backbone_config=_dinov2(70),
        reassemble_hidden_size=32,
        head_hidden_size=8,
        depth_estimation_type="metric",
        max_depth=1,
        **_small_neck(),
    )
    return hf.PromptDepthAnythingForDepthEstimation(config)


def _dpt_vit() -> Model:
    config = hf.DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        **_small_neck(),
    )
    return hf.DPTForDepthEstimation(config)


def _dpt_hybrid() -> Model:
    backbone = hf.BitConfig(
        global_padding="same",
        layer_type="bottleneck",
        depths=[1, 1, 1],
        hidden_sizes=[16, 24, 32],
        embedding_size=16,
        num_groups=4,
        out_features=["stage1", "stage2", "stage3"],
        embedding_dynamic_padding=True,
    )
    config = hf.DPTConfig(
        is_hybrid=True,
        backbone_config=backbone,
        backbone_featmap_shape=[1, 32, 4, 4],
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 24, 32, 32],
        fusion_hidden_size=16,
    )
    return hf.DPTForDepthEstimation(config)


def _beit() -> Config:
    return hf.BeitConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        use_relative_position_bias=True,
        use_absolute_position_embeddings=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )


def _dpt_beit() -> Model:
    return hf.DPTForDepthEstimation(hf.DPTConfig(backbone_config=_beit(), **_small_neck()))


def _dpt_dinov2() -> Model:
    config = hf.DPTConfig(  # the projection has 256 channels whatever the configuration says
        backbone_config=_dinov2(70),
        add_projection=True,
        neck_hidden_sizes=[8, 12, 16, 24],
        fusion_hidden_size=256,
    )
    return hf.DPTForDepthEstimation(config)


def _dpt_swinv2() -> Model:
    backbone = hf.Swinv2Config(
        image_size=64,
        patch_size=4,
        embed_dim=16,
        depths=[1, 1, 2, 1],
        num_heads=[1, 2, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = hf.DPTConfig(
        backbone_config=backbone, neck_hidden_sizes=[16, 32, 64, 128], fusion_hidden_size=16
    )
    return hf.DPTForDepthEstimation(config)


def _zoedepth() -> Model:
    config = hf.ZoeDepthConfig(
        backbone_config=_beit(),
        bottleneck_features=16,
        num_relative_features=8,
        bin_embedding_dim=16,
        num_attractors=[4, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
        **_small_neck(),
    )
    return hf.ZoeDepthForDepthEstimation(config)


def _glpn() -> Model:
    config = hf.GLPNConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        max_depth=10,
    )
    return hf.GLPNForDepthEstimation(config)


def _depth_pro() -> Model:
    encoder = _dinov2(64, patch_size=16, layers=2)
    config = hf.DepthProConfig(
        patch_size=64,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[16, 16],
        scaled_images_ratios=[0.25, 0.5, 1],
        scaled_images_feature_dims=[24, 24, 16],
        merge_padding_value=1,
        use_fov_model=True,
        image_model_config=encoder,
        patch_model_config=encoder,
        fov_model_config=encoder,
    )
    return hf.DepthProForDepthEstimation(config)


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

FAMILIES: dict[str, Family] = {
    "depth-anything": Family(lambda: _depth_anything("relative", 1), DEPTH_ANYTHING),
    "depth-anything-metric": Family(lambda: _depth_anything("metric", 20), DEPTH_ANYTHING),
    "prompt-depth-anything": Family(
        _prompt_depth_anything,
        {**DEPTH_ANYTHING, "image_processor_type": "PromptDepthAnythingImageProcessor"},
    ),
    "dpt-vit": Family(_dpt_vit, {**_dpt_processor(64), **HALF}),
    "dpt-hybrid": Family(_dpt_hybrid, {**_dpt_processor(64), **HALF}),
    "dpt-beit": Family(_dpt_beit, {**_dpt_processor(64, multiple=32, keep=True), **HALF}),
    "dpt-swinv2": Family(_dpt_swinv2, {**_dpt_processor(64, multiple=32, keep=True), **HALF}),
    "dpt-dinov2": Family(_dpt_dinov2, {**_dpt_processor(70, multiple=14, keep=True), **IMAGENET}),
    "zoedepth": Family(
        _zoedepth,
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
        _glpn,
        {"image_processor_type": "GLPNImageProcessor", "resample": 2, "size_divisor": 32},
        size=(64, 96),
    ),
    "depth-pro": Family(
        _depth_pro,
        {
            **HALF,
            "image_processor_type": "DepthProImageProcessorFast",
            "do_normalize": True,
            "size": {"height": 256, "width": 256},
            "resample": 2,
        },
    ),
}

"""Small depth networks of transformers' architectures, and one of the published size."""

from __future__ import annotations

from typing import Any, TypeAlias

import transformers

Model: TypeAlias = Any  # a transformers model
Config: TypeAlias = Any  # a transformers configuration

hf: Any = transformers  # the types of its configurations differ by version


def depth_anything_v2_small() -> Model:
    """Depth-Anything-V2-Small as published (Yang et al. 2024): 24.8 million weights, 518x518."""
    backbone = hf.Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        image_size=518,
        patch_size=14,
        out_indices=[3, 6, 9, 12],
        reshape_hidden_states=False,
    )
    config = hf.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=384,
        neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64,
        head_hidden_size=32,
    )
    return hf.DepthAnythingForDepthEstimation(config)


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


def depth_anything(kind: str, max_depth: int | None) -> Model:
    config = hf.DepthAnythingConfig(
        backbone_config=_dinov2(70),
        reassemble_hidden_size=32,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=max_depth,
        **_small_neck(),
    )
    return hf.DepthAnythingForDepthEstimation(config)


def prompt_depth_anything() -> Model:
    config = hf.PromptDepthAnythingConfig(
        backbone_config=_dinov2(70),
        reassemble_hidden_size=32,
        head_hidden_size=8,
        depth_estimation_type="metric",
        max_depth=1,
        **_small_neck(),
    )
    return hf.PromptDepthAnythingForDepthEstimation(config)


def dpt_vit() -> Model:
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


def dpt_hybrid() -> Model:
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


def dpt_beit() -> Model:
    return hf.DPTForDepthEstimation(hf.DPTConfig(backbone_config=_beit(), **_small_neck()))


def dpt_dinov2() -> Model:
    config = hf.DPTConfig(  # the projection has 256 channels whatever the configuration says
        backbone_config=_dinov2(70),
        add_projection=True,
        neck_hidden_sizes=[8, 12, 16, 24],
        fusion_hidden_size=256,
    )
    return hf.DPTForDepthEstimation(config)


def dpt_swinv2() -> Model:
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


def zoedepth() -> Model:
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


def glpn() -> Model:
    config = hf.GLPNConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 16, 24, 32],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        max_depth=10,
    )
    return hf.GLPNForDepthEstimation(config)


def depth_pro() -> Model:
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

"""What the configuration files of a Hugging Face depth model say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from depthrt.spec import Interpolation, Kind, Unit

Config: TypeAlias = Any  # transformers.PretrainedConfig, whose attributes vary with the model
Meaning: TypeAlias = tuple[Kind | None, Unit | None, tuple[float, float] | None]

PROCESSOR_SETTINGS = (
    *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "resample"),
    *("size", "keep_aspect_ratio", "ensure_multiple_of", "size_divisor"),
)
# PIL.Image.Resampling: nearest, lanczos, bilinear, bicubic, box, hamming.
_INTERPOLATION: dict[int, Interpolation] = {
    **{0: "linear", 1: "cubic", 2: "linear", 3: "cubic", 4: "area", 5: "area"}
}
# DepthProImageProcessor.post_process_depth_estimation clamps the inverse depth to these.
DEPTH_PRO_INVERSE_RANGE = (1e-4, 1e4)


def meaning(config: Config) -> Meaning:
    """Kind, unit and range of what the model puts out, as its configuration tells them.

    Depth-Anything's ``depth_estimation_type`` says it. MiDaS' DPT models give inverse depth up to
    scale and shift; those on DINOv2 (``facebook/dpt-dinov2-*``) were trained on metric depth.
    ZoeDepth, GLPN, TIPSv2 and Depth Pro with its field of view are metric. Prompt Depth Anything
    without its prompt gives depth on the scale of the prompt that it did not get. All is None for
    a model type whose meaning is not known here.
    """
    family, limit = config.model_type, float(getattr(config, "max_depth", None) or 1)
    if family == "depth_anything" and config.depth_estimation_type == "metric":
        return "depth", "m", (0.0, limit)
    if family == "depth_anything":
        return "inverse_depth", None, None
    if family == "prompt_depth_anything":
        return "depth", None, None
    if family == "dpt":
        metric = getattr(config.backbone_config, "model_type", "") == "dinov2"
        return ("depth", "m", None) if metric else ("inverse_depth", None, None)
    if family == "zoedepth":
        bins = config.bin_configurations[0]
        return "depth", "m", (float(bins["min_depth"]), float(bins["max_depth"]))
    if family == "glpn":
        return "depth", "m", (0.0, limit)
    if family == "tipsv2_dpt":
        return "depth", "m", (float(config.min_depth), limit)
    if family == "depth_pro" and config.use_fov_model:
        low, high = DEPTH_PRO_INVERSE_RANGE
        return "depth", "m", (1 / high, 1 / low)
    if family == "depth_pro":
        return "inverse_depth", None, None
    return None, None, None


def hub_kernel(config: Config) -> str:
    """The repository of the hub whose code a model or its backbone wants for attention, if any.

    transformers fetches and runs it where the ``kernels`` package is installed.
    """
    parts = [config, getattr(config, "backbone_config", None)]
    wanted = (str(getattr(part, "_attn_implementation", None) or "") for part in parts)
    return next((name for name in wanted if "/" in name), "")


def from_processor(settings: Mapping[str, Any], stride: int) -> dict[str, Any]:
    """Size, interpolation and normalisation that an image processor's settings stand for.

    Args:
        settings: the processor's settings by transformers' names; absent ones may be None.
        stride: what the network's sides must be multiples of.

    Returns:
        Fields of :class:`~depthrt_export.options.SourceOptions`.
    """
    rescaled = settings.get("do_rescale") is not False
    found: dict[str, Any] = {
        "scale": float(settings.get("rescale_factor") or 1 / 255) if rescaled else 1.0,
        "interpolation": _INTERPOLATION.get(settings.get("resample") or 0, "linear"),
    }
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if settings.get("do_normalize") is not False and mean is not None and std is not None:
        found |= {"mean": _three(mean), "std": _three(std)}
    step = settings.get("ensure_multiple_of") or settings.get("size_divisor") or 1
    found["multiple_of"] = math.lcm(int(step) if step >= 1 else 1, stride)
    size = settings.get("size")
    if isinstance(size, int):  # as old processors wrote a square
        found["size"] = (size, size)
    elif size and size.get("height") and size.get("width"):
        found["size"] = (int(size["height"]), int(size["width"]))
    return found


def stride(config: Config) -> int:
    """What the sides of the network's input are multiples of: the patch, and Swin's merging."""
    if config.model_type == "depth_pro":  # its patch_size is that of its crops
        return 1
    backbone = getattr(config, "backbone_config", None)
    holder = backbone if getattr(backbone, "patch_size", None) else config
    patch = getattr(holder, "patch_size", None) or 1
    sides = [patch] if isinstance(patch, int) else list(patch)
    return int(math.lcm(*sides) * 2 ** max(0, len(getattr(holder, "depths", ())) - 1))


def _three(value: Any) -> tuple[float, float, float]:
    red, green, blue = [float(value)] * 3 if isinstance(value, (int, float)) else map(float, value)
    return red, green, blue

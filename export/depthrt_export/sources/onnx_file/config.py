"""What lies beside an ONNX file as the Hugging Face hub holds it, and what that says of it.

A folder of the hub has ``config.json`` and ``preprocessor_config.json``, and in it
``onnx/model.onnx``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from depthrt.errors import ModelError
from depthrt.files.json_file import parse_json
from depthrt.spec import Resize
from depthrt_export.options import SourceOptions
from depthrt_export.sources.huggingface_config import from_processor, meaning, stride

_PROCESSOR, _CONFIG, _CARD = "preprocessor_config.json", "config.json", "README.md"
# What transformers takes where config.json says nothing: it only writes what differs from this.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "depth_anything": {"depth_estimation_type": "relative"},
    "glpn": {"max_depth": 10},
    "zoedepth": {"bin_configurations": [{"min_depth": 1e-3, "max_depth": 10.0}]},
}
# Mean and std of the processors that normalise where their file says nothing; GLPN's does not.
_MEANS = {"DPT": 0.5, "ZoeDepth": 0.5, "DepthPro": 0.5, "PromptDepthAnything": 0.5}
_WITHOUT_MEAN = ("GLPN",)
# Its files give an inverse depth that becomes metric by a second output.
_NOT_KNOWN = ("depth_pro",)


@dataclass(frozen=True)
class Beside:
    """What the files beside say, and a sentence on each of them."""

    options: SourceOptions = field(default_factory=SourceOptions)
    notes: tuple[str, ...] = ()


def beside(path: Path) -> Beside:
    """What files beside an ONNX file, or in the folder above, say of it.

    Raises:
        ModelError: one of them is unreadable, or says what cannot be.
    """
    folders = (path.parent, path.resolve().parent.parent)
    for folder in folders:
        if (folder / _PROCESSOR).is_file() or _is_config_of_a_network(folder / _CONFIG):
            return _of_folder(folder)
    return Beside()


def _is_config_of_a_network(path: Path) -> bool:
    return path.is_file() and "model_type" in _read(path)


def _of_folder(folder: Path) -> Beside:
    found: dict[str, Any] = {}
    notes = []
    content = _read(folder / _CONFIG) if (folder / _CONFIG).is_file() else {}
    config = _as_config(content)
    try:
        if content.get("model_type") and content["model_type"] not in _NOT_KNOWN:
            kind, unit, valid_range = meaning(config)
            if kind is not None:
                found |= {"kind": kind, "unit": unit, "valid_range": valid_range}
                what = "depth in metres" if unit else kind.replace("_", " ")
                notes.append(f"{_CONFIG}: {config.model_type}, which gives {what}")
        if (folder / _PROCESSOR).is_file():
            settings = _with_defaults(_read(folder / _PROCESSOR))
            found |= from_processor(settings, stride(config))
            found["bgr"] = settings.get("do_flip_channel_order") is True
            found["resize"] = _resize(settings)
            notes.append(f"{_PROCESSOR}: {_told(found)}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder} has a {_CONFIG} or {_PROCESSOR} of no use ({error}): take both from where "
            "the model was published, or leave them out"
        ) from error
    licence = _licence(folder / _CARD)
    return Beside(SourceOptions(**found, licence=licence or None), tuple(notes))


def _as_config(content: dict[str, Any]) -> Any:
    """The configuration with attributes, as transformers has it."""
    family = content.get("model_type")
    known = _DEFAULTS.get(family, {}) if isinstance(family, str) else {}
    values = {"model_type": "", "backbone_config": None, **known, **content}
    backbone = values["backbone_config"]
    values["backbone_config"] = SimpleNamespace(**backbone) if isinstance(backbone, dict) else None
    return SimpleNamespace(**values)


def _with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the mean and std that the processor's class has where none is said."""
    named = settings.get("image_processor_type") or settings.get("feature_extractor_type") or ""
    name = str(named).removesuffix("Fast")
    for ending in ("ImageProcessor", "FeatureExtractor"):
        name = name.removesuffix(ending)
    if name in _WITHOUT_MEAN:
        return {**settings, "do_normalize": False}
    mean = _MEANS.get(name)
    if mean is None:
        return settings
    return {"image_mean": mean, "image_std": mean, **settings}


def _resize(settings: dict[str, Any]) -> Resize | None:
    """The resize rule; None where the settings say nothing of it."""
    keeps = settings.get("keep_aspect_ratio")
    if settings.get("do_resize") is False or not isinstance(keeps, bool):
        return None
    return "keep_aspect" if keeps else "stretch"


def _told(found: dict[str, Any]) -> str:
    def numbers(values: tuple[float, ...]) -> str:
        return ", ".join(f"{v:g}" for v in (values if len(set(values)) > 1 else values[:1]))

    parts = [f"pixels x {found['scale']:.4g}"]
    if "mean" in found:
        parts.append(f"mean {numbers(found['mean'])}, std {numbers(found['std'])}")
    if "size" in found:
        parts.append("size {}x{}".format(*found["size"]))
    if found["resize"] is not None:
        parts.append("keeps the aspect" if found["resize"] == "keep_aspect" else "stretched")
    return "; ".join([*parts, *(["channels blue, green, red"] if found["bgr"] else [])])


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no JSON object")
    return content


def _licence(card: Path) -> str:
    """The licence that a model card names in its head."""
    try:
        lines = card.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if key == "license" and colon:
            return value.strip().strip("'\"")
    return ""

"""The models and clips that come with depthrt."""

from __future__ import annotations

from pathlib import Path

from depthrt.errors import ModelError

DATA = Path(__file__).parents[1] / "data"
DEFAULT_MODEL = "depthrt-s"
DEMO_CLIP = DATA / "demo.mp4"


def built_in_models() -> dict[str, Path]:
    """The files of the built-in models, by name."""
    return {path.stem: path for path in sorted(DATA.glob("*.onnx"))}


def find_model(name: str | Path | None) -> Path:
    """The file of a built-in model, or the path itself; None is the default model.

    Raises:
        ModelError: no such built-in model, or a path that no file can have.
    """
    built_in = built_in_models()
    key = DEFAULT_MODEL if name is None else str(name)
    if key in built_in:
        return built_in[key]
    if name is None:
        raise ModelError(f"the built-in model {DEFAULT_MODEL} is missing: reinstall depthrt")
    path = Path(name)
    try:
        there = path.exists()
    except OSError as error:  # such as a name that is too long
        raise ModelError(f"{key[:80]}... is no usable path ({error.strerror})") from error
    if not there and not path.suffix:
        known = ", ".join(built_in) or "none"
        raise ModelError(f"no model file and no built-in model {key!r} (built in: {known})")
    return path

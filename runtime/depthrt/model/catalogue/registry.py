"""The models and clips that come with depthrt, and the models that were pulled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from depthrt.errors import ModelError

DATA = Path(__file__).parents[2] / "data"
DEFAULT_MODEL = "depthrt-s"
DEMO_CLIP = DATA / "demo.mp4"


def built_in_models() -> dict[str, Path]:
    """The files of the built-in models, by name."""
    return {path.stem: path for path in sorted(DATA.glob("*.onnx"))}


def find_model(name: str | Path | None) -> Path:
    """The file of a built-in or a pulled model, or the path itself; None is the default model.

    Raises:
        ModelError: no such model, one that is not pulled yet, or a path that no file can have.
        UsageError: ``hf:`` and no repository behind it.
    """
    built_in = built_in_models()
    key = DEFAULT_MODEL if name is None else str(name)
    if key in built_in:
        return built_in[key]
    if name is None:
        raise ModelError(f"the built-in model {DEFAULT_MODEL} is missing: reinstall depthrt")
    path = Path(name)
    try:
        there = path.exists() and not path.is_dir()
    except OSError as error:  # such as a name that is too long
        raise ModelError(f"{key[:80]}... is no usable path ({error.strerror})") from error
    if there or (path.suffix == ".onnx" and not key.startswith("hf:")):
        return path
    return _pulled(key) or _no_name(path, key, built_in)


def _pulled(key: str) -> Path | None:
    """The file of a pulled model; None where the text is no name of one.

    Raises:
        ModelError: it is one that can be pulled, and is not here.
    """
    from depthrt.model.catalogue.hub_models import PREFIX, hub_model, pulled_file, pulled_models

    here = pulled_models()
    if key in here:
        return here[key]
    row = hub_model(key)
    if row is None and not key.startswith(PREFIX):
        return None
    file = pulled_file(key)
    if file.is_file():
        return file
    size = f", {row.size_mb:g} MB" if row is not None and row.size_mb else ""
    what = f" ({row.licence}{size})" if row is not None else ""
    raise ModelError(f"{key}{what} is not here yet: fetch it with `depthrt pull {key}`")


def _no_name(path: Path, key: str, built_in: Mapping[str, Path]) -> Path:
    """The path, if it may be one.

    Raises:
        ModelError: it has no suffix, so it is a name that nobody knows.
    """
    from depthrt.model.catalogue.hub_models import HUB_MODELS, pulled_models

    if path.suffix:
        return path
    known = ", ".join(built_in) or "none"
    pulled = ", ".join(pulled_models()) or "none"
    fetched = ", ".join(row.name for row in HUB_MODELS)
    raise ModelError(
        f"no model file and no built-in model {key!r} (built in: {known}; pulled: {pulled}; "
        f"`depthrt pull` fetches {fetched})"
    )

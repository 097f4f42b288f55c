"""What a repository of the hub holds, and which of its files is taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from depthrt.errors import ModelError

_SIDE_FILES = ("config.json", "preprocessor_config.json", "README.md")
_WEIGHTS = "model.safetensors"
_SHOWN = 6


@dataclass(frozen=True)
class HubFile:
    """A file of a repository.

    - ``path``: in the repository;
    - ``size_bytes``: None where the hub does not say;
    - ``sha256``: of its content; empty where the hub does not say.
    """

    path: str
    size_bytes: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Listing:
    """A repository at one commit; ``licence`` is its card's, empty where that has none."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]
    licence: str = ""

    def file(self, path: str) -> HubFile | None:
        """The file at a path; None if there is none."""
        return next((file for file in self.files if file.path == path), None)


@dataclass(frozen=True)
class Choice:
    """The files to fetch: the model first, then those beside it that say what it is.

    ``note`` is a sentence where the model was chosen among others.
    """

    files: tuple[HubFile, ...]
    note: str = ""

    @property
    def model(self) -> HubFile:
        """The file of the network."""
        return self.files[0]

    @property
    def size_bytes(self) -> int | None:
        """Of all files together; None where the hub does not say."""
        sizes = [file.size_bytes for file in self.files]
        return None if self.model.size_bytes is None else sum(size or 0 for size in sizes)


def choose(listing: Listing, wanted: str) -> Choice:
    """The files of a network.

    Args:
        listing: the repository.
        wanted: the model's path in it; empty for ``onnx/model.onnx``, ``model.onnx``, the only
            ONNX file, or else PyTorch's weights with a ``config.json``.

    Raises:
        ModelError: there is no such file, or no file that is a network, or several without one that
            stands out.
    """
    model, note = (listing.file(wanted), "") if wanted else _network(listing)
    if model is None:
        raise ModelError(f"{listing.repo} has no file {wanted}{_those_it_has(listing)}")
    beside = [listing.file(path) for path in (*_external_data(model), *_SIDE_FILES)]
    return Choice((model, *(file for file in beside if file is not None)), note)


def _network(listing: Listing) -> tuple[HubFile, str]:
    files = _onnx_files(listing)
    named = [each for path in ("onnx/model.onnx", "model.onnx") if (each := listing.file(path))]
    if named or len(files) == 1:
        model = (named or files)[0]
        others = ", ".join(file.path for file in files if file is not model)
        return model, f"{model.path} is taken; beside it: {others}" if others else ""
    weights = listing.file(_WEIGHTS)
    if not files and weights is not None and listing.file("config.json") is not None:
        return weights, f"{listing.repo} has no ONNX file: the PyTorch network is exported"
    if not files:
        raise ModelError(f"{listing.repo} holds neither an ONNX file nor weights of transformers")
    raise ModelError(
        f"{listing.repo} holds {len(files)} ONNX files: say which, as in "
        f"hf:{listing.repo}/{files[0].path}{_those_it_has(listing)}"
    )


def _external_data(model: HubFile) -> tuple[str, ...]:
    """Where exporters put weights that an ONNX file keeps beside itself."""
    if not model.path.endswith(".onnx"):
        return ()
    stem = str(PurePosixPath(model.path).with_suffix(""))
    return f"{model.path}_data", f"{model.path}.data", f"{stem}.data"


def _onnx_files(listing: Listing) -> list[HubFile]:
    return [file for file in listing.files if file.path.endswith(".onnx")]


def _those_it_has(listing: Listing) -> str:
    files = [file.path for file in _onnx_files(listing)]
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    return f" (ONNX files: {', '.join(files[:_SHOWN])}{more})" if files else " (no ONNX file)"

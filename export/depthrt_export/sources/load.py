"""Where a trained network comes from, and what is known of it.

``SOURCE`` is a Hugging Face model id or folder, ``package.module:factory`` or
``path/to/file.py:factory``, a ``torch.export`` file (.pt2) or a TorchScript file.

A user's module may say once what would else be options, as a module attribute::

    DEPTHRT = {
        "kind": "inverse-depth",   # or "depth", "metric"
        "size": (192, 320),        # height, width
        "multiple_of": 32,
        "mean": 116, "std": 58, "scale": 1,   # (pixel * scale - mean) / std, pixel in 0..255
        "name": "my-net", "licence": "MIT",
    }

Options of the command line win over it. A factory is the user's own code and is run; a file of
weights or of a program runs nothing unless ``trust_code`` says so.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from depthrt.errors import DepthrtError, ModelError, UsageError
from depthrt_export.options import SourceOptions, from_settings
from depthrt_export.sources.checkpoint import checkpoint_facts, read_states
from depthrt_export.sources.fit_state import fit_state
from depthrt_export.sources.network import describe
from depthrt_export.sources.programs.pt2 import is_exported_program, load_pt2
from depthrt_export.sources.torch_network import TorchNetwork

SETTINGS = "DEPTHRT"
_MOST_NAMED = 5


def load_network(source: str, options: SourceOptions) -> TorchNetwork:
    """Turn a source into a network in eval mode, float32, on the CPU.

    Raises:
        UsageError: the source is none of the known forms, or something it does not say is missing
            among the options.
        ModelError: a checkpoint or file that cannot be read or does not fit.
    """
    path = Path(source)
    if ":" in source and not path.exists():
        return _from_factory(source, options)
    if path.is_file():
        return _from_file(path, options)
    if path.is_dir() or re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        from depthrt_export.sources.huggingface import load_huggingface

        return load_huggingface(source, options)
    raise UsageError(
        f"{source!r} is no source of a network: give a Hugging Face id or folder, "
        "file.py:factory, package.module:factory, a .pt2 or a TorchScript file"
    )


def _from_factory(source: str, options: SourceOptions) -> TorchNetwork:
    place, _, name = source.rpartition(":")
    module = _import(place)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"{place} has no callable {name!r}{_instead(module, name)}")
    settings = getattr(module, SETTINGS, {})
    if not isinstance(settings, Mapping):
        raise UsageError(f"{SETTINGS} in {place} is not a dict")
    options = options.over(from_settings(settings, f"{SETTINGS} in {place}"))
    try:
        network = factory()
    except DepthrtError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise UsageError(f"{source} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise UsageError(f"{source} gave a {type(network).__name__}, not a torch.nn.Module")
    provenance: dict[str, Any] = {"source": f"{Path(place).name}:{name}"}
    if options.checkpoint is not None:
        weights = _load_weights(network, options, provenance)
    elif options.ignore or options.key:
        raise UsageError("--key and --ignore are of a --checkpoint: give it, or leave them out")
    else:
        provenance["checkpoint"] = None
        weights = f"random unless {name}() loads its own: no --checkpoint was given"
    network = network.eval().float().cpu()
    if isinstance(network, torch.jit.ScriptModule) and options.size is not None:
        network = _without_script(network, options.size, source)
    made = TorchNetwork.of(network, describe(options, name, provenance))
    assumed = {**({"weights": weights} if weights else {}), **made.assumed}
    return replace(made, assumed=assumed, named=options.name is not None)


def _instead(module: ModuleType, name: str) -> str:
    """What of a user's module was probably meant, or what there is to choose from."""
    own = [
        key
        for key, value in vars(module).items()
        if callable(value)
        and not key.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]
    close = difflib.get_close_matches(name, own, 1)
    if close:
        return f": did you mean {close[0]}?"
    return f": it has {', '.join(own[:_MOST_NAMED])}" if own else ""


def _without_script(network: nn.Module, size: tuple[int, int], source: str) -> nn.Module:
    from depthrt_export.sources.programs.torchscript import rebuilt

    try:
        return rebuilt(network, size, source)
    except ModelError as error:
        raise UsageError(
            f"{source} gave a TorchScript module, which cannot be traced: return the network as it "
            "is before torch.jit.script or torch.jit.trace"
        ) from error


def _load_weights(network: nn.Module, options: SourceOptions, provenance: dict[str, Any]) -> str:
    """Load the checkpoint, note in ``provenance`` what was done, and say what was chosen."""
    path = cast("Path", options.checkpoint)
    state, choice = read_states(path, options.key, options.trust_code)
    fitted = fit_state(network, state, path, options.ignore)
    provenance |= checkpoint_facts(path)
    if options.key:
        provenance["checkpoint_key"] = options.key
    if fitted.prefix:
        provenance["checkpoint_prefix"] = fitted.prefix
    if fitted.left_out:
        provenance["checkpoint_left_out"] = list(fitted.left_out)
    return "; ".join(note for note in (choice, *fitted.notes) if note)


def _from_file(path: Path, options: SourceOptions) -> TorchNetwork:
    if path.suffix == ".onnx":
        raise UsageError(f"{path} is ONNX already; export wants the PyTorch network")
    if path.suffix == ".py":
        raise UsageError(f"say which function of {path} builds the network: {path}:factory")
    if options.checkpoint is not None or options.ignore:
        raise UsageError(f"{path} brings its own weights: leave out --checkpoint and --ignore")
    names = _archive_names(path)
    if path.suffix == ".pt2" or is_exported_program(names):
        module = load_pt2(path, trust_code=options.trust_code)
    elif any("/code/" in name or name.startswith("code/") for name in names):
        from depthrt_export.sources.programs.torchscript import load_torchscript

        module = load_torchscript(path, options.size, trust_code=options.trust_code)
    else:
        raise UsageError(
            f"{path} holds weights but no network: give the code as file.py:factory and this file "
            "as --checkpoint"
        )
    facts = {"source": path.name, **checkpoint_facts(path)}
    return TorchNetwork.of(module, describe(options, path.stem, facts))


def _import(place: str) -> ModuleType:
    path = Path(place)
    if place.endswith(".py"):
        if not path.is_file():
            raise UsageError(f"no file {path}: check the path")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise UsageError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        loader = spec.loader
        with _importable_beside(path, module):
            _run_user_code(lambda: loader.exec_module(module), place)
        return module
    with _importable_beside(Path("here.py").resolve(), None):
        found: ModuleType = _run_user_code(lambda: importlib.import_module(place), place)
    return found


def _run_user_code(run: Any, place: str) -> Any:
    try:
        return run()
    except Exception as error:  # a user's file may raise anything
        raise UsageError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


@contextmanager
def _importable_beside(path: Path, module: ModuleType | None) -> Iterator[None]:
    """Let a user's file import its neighbours, and be found by name while it is run."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    if module is not None:
        sys.modules.setdefault(module.__name__, module)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _archive_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # zipfile lets through what a broken directory leads to
        return []

"""From a name to a proven file in the user's cache."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from depthrt.errors import DepthrtError, ModelError, TargetError, UsageError
from depthrt.files.atomic_write import new_file
from depthrt.files.json_file import write_json
from depthrt.files.user_cache import user_cache
from depthrt.model.catalogue.hub_models import (
    HUB_MODELS,
    PREFIX,
    HubModel,
    HubPlace,
    hub_model,
    pulled_file,
)
from depthrt.model.depth_model import DepthModel
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session
from depthrt.spec import METADATA_KEY
from depthrt.system.installation import install_command
from depthrt_benchmarks.common.file_lock import HAS_LOCKS, lock
from depthrt_export.hub.fetch import fetch, list_repository, require_client
from depthrt_export.hub.listing import Choice, HubFile, Listing, choose
from depthrt_export.options import SourceOptions

Convert = Callable[[str, Path, SourceOptions], None]
"""Turns what was fetched into a proven depthrt file at a path."""


@dataclass(frozen=True)
class Pulled:
    """What was pulled.

    - ``path``: the file in the cache;
    - ``fetched``: the file it was made from, as ``org/repo/file@commit``; empty where the model was
      here already;
    - ``licence``: of the weights, empty where nobody says;
    - ``tried``: whether depthrt's makers have tried it.
    """

    name: str
    path: Path
    fetched: str = ""
    licence: str = ""
    tried: bool = False


@dataclass(frozen=True)
class _Asked:
    """What is asked for, its row of the table, its place on the hub, and where it is to lie."""

    name: str
    row: HubModel | None
    place: HubPlace
    target: Path


def pull(
    name: str,
    said: SourceOptions,
    convert: Convert,
    tell: Callable[[str], None],
    *,
    overwrite: bool = False,
) -> Pulled:
    """Fetch a published network, make a proven depthrt file of it and keep that in the cache.

    Args:
        name: a name of the table, or ``hf:org/repo[/file.onnx][@revision]``.
        said: what is said of the network; it wins over the table.
        convert: makes a depthrt file of another.
        tell: called with a sentence on what is fetched, before it is.
        overwrite: fetch and make it again where it is here.

    Raises:
        DepthrtError: whatever is wrong, in one sentence; no unfinished model is left in the cache.
    """
    asked = _parse(name)
    with _alone(asked.target.parent, tell):
        if asked.target.is_file() and not overwrite:
            return Pulled(name, asked.target)
        return _fetch_and_prove(asked, said, convert, tell, overwrite=overwrite)


def _fetch_and_prove(
    asked: _Asked,
    said: SourceOptions,
    convert: Convert,
    tell: Callable[[str], None],
    *,
    overwrite: bool,
) -> Pulled:
    require_client()
    row, target = asked.row, asked.target
    listing = list_repository(asked.place.repo, asked.place.revision)
    choice = choose(listing, asked.place.file)
    licence = said.licence or listing.licence or ("" if row is None else row.licence)
    tell(_announcement(row, listing, choice, licence))
    if row is not None or not choice.model.path.endswith(".onnx"):
        _require_libraries(choice)  # before a download that cannot be used
    downloads = user_cache("hub") / target.stem
    folder = downloads / listing.commit
    model = _fetch_all(listing, choice, row, folder)
    if _is_depthrt(model):
        _take_as_it_is(model, target, overwrite=overwrite)
    else:
        _require_libraries(choice)
        known = replace(_of_row(row), licence=licence or None, name=_plain_name(asked.name))
        convert(str(model if model.suffix == ".onnx" else folder), target, said.over(known))
    fetched = f"{listing.repo}/{choice.model.path}@{listing.commit}"
    write_json(target.with_suffix(".json"), {"fetched": fetched}, overwrite=True)
    shutil.rmtree(downloads, ignore_errors=True)
    return Pulled(asked.name, target, fetched, licence, row is not None and row.tried)


@contextmanager
def _alone(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process pulls: both would write to the same files."""
    if not HAS_LOCKS:
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            lock(held, wait=False)
        except BlockingIOError:
            tell("waiting for another `depthrt pull`")
            lock(held)
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(held)


def _parse(name: str) -> _Asked:
    row = hub_model(name)
    if row is not None:
        return _Asked(name, row, HubPlace(row.repo, row.file, row.revision), _target(name))
    if name.startswith(PREFIX):
        return _Asked(name, None, HubPlace.parse(name), _target(name))
    known = ", ".join(each.name for each in HUB_MODELS)
    raise UsageError(f"{name!r} is not in the table: give hf:ORG/REPO, or one of {known}")


def _require_libraries(choice: Choice) -> None:
    """Refuse a network whose libraries are not installed; an ONNX file needs no PyTorch.

    Raises:
        UsageError: one is missing; the message says how to install it.
    """
    libraries, extra = ["onnx", "onnxscript"], "onnx"
    if not choice.model.path.endswith(".onnx"):
        libraries, extra = [*libraries, "torch", "transformers"], "export"
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{', '.join(missing)} needed to turn {choice.model.path} into a depthrt file is not "
            f"installed: {install_command(extra)}"
        )


def _target(name: str) -> Path:
    try:
        target = pulled_file(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        user_cache("hub").mkdir(exist_ok=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TargetError(
            f"models cannot be kept ({reason}): set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return target


def _announcement(row: HubModel | None, listing: Listing, choice: Choice, licence: str) -> str:
    size = choice.size_bytes
    told = [
        f"{listing.repo}, {choice.model.path} at {listing.commit[:12]}",
        "size unknown" if size is None else f"{size / 1e6:.1f} MB",
        f"licence {licence or 'unknown: ask its authors'}",
    ]
    if choice.note:
        told.append(choice.note)
    if row is not None and not row.tried:
        told.append("depthrt's makers have not tried it")
    return "; ".join(told)


def _fetch_all(listing: Listing, choice: Choice, row: HubModel | None, folder: Path) -> Path:
    """Fetch the files; the pinned hash of the table goes before the hub's own."""
    model = choice.model
    if row is not None and row.sha256:
        model = HubFile(model.path, model.size_bytes, row.sha256)
    path = fetch(listing, model, folder)
    for file in choice.files[1:]:
        fetch(listing, file, folder)
    return path


def _of_row(row: HubModel | None) -> SourceOptions:
    """What the table says; of a network of transformers its own files say more."""
    if row is None or row.form == "transformers":
        return SourceOptions()
    return SourceOptions(
        kind=row.kind,
        unit=row.unit,
        size=row.size,
        multiple_of=row.multiple_of,
        mean=row.mean,
        std=row.std,
        scale=1 / 255,
        output=row.output,
    )


def _plain_name(name: str) -> str:
    return name if not name.startswith(PREFIX) else HubPlace.parse(name).repo.partition("/")[2]


def _is_depthrt(path: Path) -> bool:
    """Whether a file carries a spec; False for what onnxruntime cannot read."""
    if path.suffix != ".onnx":
        return False
    try:
        session = open_session(path, SessionOptions("cpu", 1))
    except DepthrtError:
        return False
    return METADATA_KEY in session.get_modelmeta().custom_metadata_map


def _take_as_it_is(model: Path, target: Path, *, overwrite: bool) -> None:
    """Put a depthrt file into the cache, once it has run.

    Raises:
        ModelError: it does not run.
    """
    try:
        DepthModel.load(model, provider="cpu").warm_up()
    except DepthrtError as error:
        raise ModelError(f"what was fetched does not run: {error}") from error
    with new_file(target, overwrite=overwrite) as place:
        shutil.copyfile(model, place)

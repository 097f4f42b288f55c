"""What ``depthrt tune`` found best on this machine, kept in the user's cache.

One JSON file for each model file (by its hash) and machine (CPU, usable cores, onnxruntime and its
providers), so that another machine, a new onnxruntime or an edited model starts untuned. A file
that is broken, or written by another version, counts as not there: tuning is never needed to run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from depthrt.errors import TargetError
from depthrt.files.json_file import read_object, write_json
from depthrt.model import cpu
from depthrt.model.providers import PRECISION_HINTS, PROVIDERS, SessionOptions, short_name
from depthrt.model.session import import_onnxruntime, usable_cores

Objective = Literal["latency", "throughput"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
CACHE_VERSION = 2
_MOST_BATCH = 1024


@dataclass(frozen=True)
class Choice:
    """One way to run a model, and what it took when it was measured.

    - ``options``: how the session is opened;
    - ``batch``: frames per inference;
    - ``infer_ms``: one inference inside the pipeline, in milliseconds;
    - ``frame_ms``: the whole pipeline, per frame, in milliseconds.
    """

    options: SessionOptions
    batch: int
    infer_ms: float
    frame_ms: float

    def line(self) -> str:
        """The choice in a few words."""
        return self.options.line() + (f", batch {self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Tuning:
    """The best choice for one frame at a time, and the one for the most frames per second."""

    latency: Choice
    throughput: Choice

    def as_dict(self) -> dict[str, Any]:
        """The tuning as a JSON object."""
        return asdict(self)


def cache_folder() -> Path:
    """Where tunings are kept: ``$XDG_CACHE_HOME/depthrt/tuning``, else below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(root) if Path(root).is_absolute() else Path("~/.cache").expanduser()
    return base / "depthrt" / "tuning"


def machine_key() -> str:
    """16 hexadecimal digits of what decides how fast a session is here.

    Raises:
        ProviderError: onnxruntime is not installed.
    """
    import hashlib  # here and below: a start without a tuning needs none of these
    import platform

    module = import_onnxruntime()
    # Virtual machines share one name: what the CPU can do tells them apart.
    machine = [platform.machine(), cpu.name(), *sorted(cpu.flags())]
    facts = [machine, usable_cores(), module.__version__, module.get_available_providers()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cache_file(model: Path) -> Path:
    """Where the tuning of a model file for this machine is kept."""
    from depthrt.files.file_hash import file_sha256

    return cache_folder() / f"{file_sha256(model)}-{machine_key()}.json"


def find_tuning(model: Path) -> Tuning | None:
    """The tuning of a model file for this machine; None when there is none that can be used."""
    try:
        kept = [file.name for file in cache_folder().glob("*.json")]
        if not kept or not model.is_file():
            return None
        ending = f"-{machine_key()}.json"
        if not any(name.endswith(ending) for name in kept):
            return None  # large files are not hashed for nothing
        return _parse(read_object(cache_file(model)).content)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None  # RuntimeError: no onnxruntime, or no home folder


def find_choice(model: Path, objective: Objective) -> Choice | None:
    """The choice of the tuning for an objective, if there is one."""
    found = find_tuning(model)
    if found is None:
        return None
    return found.latency if objective == "latency" else found.throughput


def save(model: Path, tuning: Tuning) -> Path:
    """Keep a tuning; written beside its place and renamed, so that no reader sees half a file.

    Raises:
        TargetError: the cache folder cannot be written.
    """
    content = {"version": CACHE_VERSION, **tuning.as_dict()}
    try:
        target = cache_file(model)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, content, overwrite=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        raise _cannot_keep(error) from error
    return target


def check_cache() -> None:
    """Make sure that a tuning can be kept, before anything is measured.

    Raises:
        TargetError: the cache folder cannot be written.
    """
    import tempfile

    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:
        raise _cannot_keep(error) from error


def _cannot_keep(error: Exception) -> TargetError:
    told = [getattr(each, "strerror", None) for each in (error, error.__cause__)]
    reason = next(filter(None, told), str(error).rstrip("."))
    return TargetError(
        f"the tuning cannot be kept ({reason}): set XDG_CACHE_HOME to a folder that can be written"
    )


def _parse(content: Mapping[str, Any]) -> Tuning:
    if content["version"] != CACHE_VERSION:
        raise ValueError("another version")
    return Tuning(*(_choice(content[objective]) for objective in OBJECTIVES))


def _choice(content: dict[str, Any]) -> Choice:
    options = SessionOptions(**content["options"])
    choice = Choice(**{**content, "options": options})
    threads = options.threads
    fine = (
        options.provider in PROVIDERS
        and (threads is None or (type(threads) is int and 1 <= threads <= usable_cores()))
        and type(options.spinning) is bool
        and options.precision in ("", *PRECISION_HINTS)
        and type(choice.batch) is int
        and 1 <= choice.batch <= _MOST_BATCH
        and choice.infer_ms > 0
        and choice.frame_ms > 0
    )
    if not fine:
        raise ValueError("values out of range")
    return choice


def offered_providers() -> list[str]:
    """Short names of the providers that this onnxruntime was built with and depthrt knows."""
    offered = [short_name(name) for name in import_onnxruntime().get_available_providers()]
    return [name for name in offered if name in PROVIDERS]

"""What ``depthrt tune`` found to be best on this machine, kept in the user's cache folder.

There is one JSON file for each pair of a model file (by its hash) and a machine (CPU, usable cores,
onnxruntime and its providers). So another machine, a new onnxruntime or a changed model starts
untuned. A file that is broken or of another version counts as missing: no run needs a tuning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from depthrt.errors import TargetError
from depthrt.files.json_file import read_object, write_json
from depthrt.files.user_cache import user_cache
from depthrt.model.providers import MOST_PARALLEL, PRECISION_HINTS, PROVIDERS, SessionOptions
from depthrt.model.session import import_onnxruntime
from depthrt.system import cpu_features
from depthrt.system.cpu_cores import usable_cores

Objective = Literal["latency", "throughput"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
CACHE_VERSION = 3
_MOST_BATCH = 1024


@dataclass(frozen=True)
class Choice:
    """One way to run a model, and how long it took when it was measured.

    - ``options``: how the session is opened;
    - ``batch``: frames per inference;
    - ``infer_ms``: time of one inference with nothing beside it, in milliseconds;
    - ``frame_ms``: time of the whole pipeline per frame, in milliseconds.
    """

    options: SessionOptions
    batch: int
    infer_ms: float
    frame_ms: float

    def score(self, objective: Objective) -> float:
        """The time that the objective minimises, in milliseconds."""
        return self.infer_ms if objective == "latency" else self.frame_ms

    def line(self) -> str:
        """The choice in a few words."""
        return self.options.line() + (f", batch {self.batch}" if self.batch > 1 else "")


@dataclass(frozen=True)
class Tuning:
    """The best choice for one frame at a time, and the best for the most frames per second."""

    latency: Choice
    throughput: Choice

    def choice(self, objective: Objective) -> Choice:
        """The choice for an objective."""
        return self.latency if objective == "latency" else self.throughput

    def as_dict(self) -> dict[str, Any]:
        """The tuning as a JSON object."""
        return asdict(self)


def cache_folder() -> Path:
    """The folder of tunings: ``$XDG_CACHE_HOME/depthrt/tuning``, else below ``~/.cache``."""
    return user_cache("tuning")


def machine_key() -> str:
    """16 hexadecimal digits of a hash of all that decides how fast a session is here.

    Raises:
        ProviderError: onnxruntime is not installed.
    """
    from depthrt.system import machine_key as key  # imports what a start without a tuning needs not

    return key.machine_key(import_onnxruntime())


def cache_file(model: Path) -> Path:
    """The cache file of a model file's tuning on this machine."""
    from depthrt.files.file_hash import file_sha256

    return cache_folder() / f"{file_sha256(model)}-{machine_key()}.json"


def find_tuning(model: Path) -> Tuning | None:
    """The tuning of a model file on this machine; None if there is none that can be used."""
    try:
        kept = [file.name for file in cache_folder().glob("*.json")]
        if not kept or not model.is_file():
            return None
        ending = f"-{machine_key()}.json"
        if not any(name.endswith(ending) for name in kept):
            return None  # before the model file, which may be large, is hashed
        return _parse(read_object(cache_file(model)).content)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None  # RuntimeError: no onnxruntime, or no home folder


def find_choice(model: Path, objective: Objective) -> Choice | None:
    """The tuned choice for an objective; None if there is none that can be used."""
    found = find_tuning(model)
    return None if found is None else found.choice(objective)


def save(model: Path, tuning: Tuning) -> Path:
    """Write a tuning to the cache and return its file.

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
    """Check that a tuning can be kept, before anything is measured.

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
    reasons = [getattr(each, "strerror", None) for each in (error, error.__cause__)]
    reason = next(filter(None, reasons), str(error).rstrip("."))
    return TargetError(
        f"the tuning cannot be kept ({reason}): set XDG_CACHE_HOME to a folder that can be written"
    )


def _parse(content: Mapping[str, Any]) -> Tuning:
    if content["version"] != CACHE_VERSION:
        raise ValueError("another version")
    return Tuning(*(_choice(content[objective]) for objective in OBJECTIVES))


def _choice(content: dict[str, Any]) -> Choice:
    # Files written before ``parallel`` existed lack it: their sessions ran one inference at a time.
    options = SessionOptions(**content["options"])
    choice = Choice(**{**content, "options": options})
    threads, most_parallel = options.threads, MOST_PARALLEL if options.provider == "cpu" else 1
    valid = (
        options.provider in PROVIDERS
        and (threads is None or (type(threads) is int and 1 <= threads <= usable_cores()))
        and type(options.spinning) is bool
        and options.precision in ("", *PRECISION_HINTS)
        and type(options.fast_math) is bool
        and (not options.fast_math or cpu_features.multiplies_bfloat16())
        and type(options.parallel) is int
        and 1 <= options.parallel <= most_parallel
        and type(choice.batch) is int
        and 1 <= choice.batch <= _MOST_BATCH
        and choice.infer_ms > 0
        and choice.frame_ms > 0
    )
    if not valid:
        raise ValueError("values out of range")
    return choice

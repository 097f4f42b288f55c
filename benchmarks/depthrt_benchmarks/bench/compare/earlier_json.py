"""An earlier result of `depthrt bench --json`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthrt.errors import UsageError
from depthrt.files.json_file import JsonObject, read_object
from depthrt_benchmarks.bench.measure.frames import Size

_LATENCIES = ("p50", "p90", "p95", "p99", "worst")


@dataclass(frozen=True)
class EarlierModel:
    """A model: the name and hash of its file, and the size (height, width) of its spec."""

    file: str
    sha256: str
    size: Size | None


@dataclass(frozen=True)
class EarlierCell:
    """One setting; times in milliseconds, ``blocks_ms``: the median of each turn."""

    model: str
    precision: str
    bound_provider: str
    threads: int
    batch: int
    size: Size
    latency_ms: Mapping[str, float]
    blocks_ms: tuple[float, ...]


@dataclass(frozen=True)
class Earlier:
    """A whole result: models by their label, cells, and the yardstick that ran beside them."""

    path: Path
    machine: Any
    versions: Mapping[str, Any]
    models: Mapping[str, EarlierModel]
    cells: tuple[EarlierCell, ...]
    yardstick_sha256: str
    yardstick_blocks_ms: tuple[float, ...]


def read_earlier(path: Path) -> Earlier:
    """Read a result.

    Raises:
        UsageError: no such file, or something else in it.
    """
    content = read_object(path, UsageError)
    try:
        return _earlier(path, content)
    except UsageError as error:
        raise UsageError(f"{path} is no result of `depthrt bench --json` ({error})") from error


def _earlier(path: Path, content: JsonObject) -> Earlier:
    models = {each.text("model"): _model(each) for each in content.objects("models")}
    cells = tuple(map(_cell, content.objects("cells")))
    yardstick = content.object("yardstick")
    for cell in cells:
        if cell.model not in models:
            raise UsageError(f"its cells are of {cell.model!r}, of which its models say nothing")
    return Earlier(
        path,
        content.value("machine"),
        content.object("versions").content,
        models,
        cells,
        yardstick.text("sha256"),
        tuple(yardstick.numbers("blocks_ms", above=0)),
    )


def _model(entry: JsonObject) -> EarlierModel:
    size = _size(entry) if "size" in entry.content else None
    return EarlierModel(entry.text("file"), entry.text("sha256"), size)


def _cell(entry: JsonObject) -> EarlierCell:
    latency = entry.object("latency_ms")
    return EarlierCell(
        entry.text("model"),
        entry.text("precision"),
        entry.text("bound_provider"),
        entry.whole("threads", least=1),
        entry.whole("batch", least=1),
        _size(entry),
        {key: latency.number(key, above=0) for key in _LATENCIES},
        tuple(entry.numbers("blocks_ms", above=0)),
    )


def _size(entry: JsonObject) -> Size:
    numbers = entry.numbers("size", above=0)
    if len(numbers) != 2 or not all(number.is_integer() for number in numbers):
        raise entry.wrong("size", "[height, width]")
    return int(numbers[0]), int(numbers[1])

"""Prometheus' text format (version 0.0.4), written by hand: the runtime needs no client for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from depthrt.latency import Latency

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Metric:
    """What one name stands for.

    ``name`` is what queries say: of a counter with ``_total``; of a histogram without an ending.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A metric and its values, by their labels; of a histogram its times."""

    metric: Metric
    values: Sequence[tuple[Labels, float | Latency]]


def to_text(families: Iterable[Family]) -> str:
    """The page that Prometheus scrapes."""
    lines: list[str] = []
    for family in families:
        metric = family.metric
        lines.append(f"# HELP {metric.name} {_escaped(metric.text)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for labels, value in family.values:
            if isinstance(value, Latency):
                lines += _histogram(metric.name, labels, value)
            else:
                lines.append(f"{metric.name}{_labels(labels)} {_number(value)}")
    return "\n".join([*lines, ""])


def _histogram(name: str, labels: Labels, times: Latency) -> list[str]:
    count, total_s = times.count, times.total_s
    # A time may be counted between these lines: buckets must not exceed the count.
    found = [min(each, count) for each in times.counts_up_to(BUCKETS_S)]
    lines = [
        f"{name}_bucket{_labels({**labels, 'le': _number(bound)})} {each}"
        for bound, each in zip(BUCKETS_S, found, strict=True)
    ]
    return [
        *lines,
        f"{name}_bucket{_labels({**labels, 'le': '+Inf'})} {count}",
        f"{name}_sum{_labels(labels)} {_number(total_s)}",
        f"{name}_count{_labels(labels)} {count}",
    ]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_escaped(text, quote=True)}"' for name, text in labels.items())
    return f"{{{inside}}}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.encode("utf-8", "replace").decode()  # file names may hold what is no text
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))

"""A model in a dozen lines: what it takes and gives, what was assumed, and what was proven of it.

Whoever made the file may have left out anything but the spec's own fields, or written it another
way: then its line is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from depthrt.spec import ModelSpec

Row = tuple[str, str]
_BY_PRECISION = ("int8", "float16", "bfloat16")


def summary(facts: Mapping[str, Any], spec: ModelSpec) -> list[Row]:
    """Names and values, in the order to be read.

    Args:
        facts: what ``depthrt info --json`` gives.
        spec: of the model.
    """
    measured = spec.measured
    rows = [
        ("file", f"{facts['file']}, {facts['file_mb']} MB"),
        ("name", spec.name),
        ("licence", spec.licence or "not said"),
        ("kind", _kind(spec)),
        ("input", f"{_tensors(facts['inputs'])}, RGB, {spec.input.resize.replace('_', '-')}"),
        ("output", _tensors(facts["outputs"])),
        ("normalisation", _normalisation(spec.provenance)),
        ("found", _found(spec.provenance)),
        ("metres", _metres(_mapping(spec.provenance.get("metres")))),
        ("precision", _precision(facts, spec)),
        *((f"assumed.{topic}", str(said)) for topic, said in _mapping(facts["assumed"]).items()),
        ("proof", _error(_mapping(measured.get("proof")), "")),
        *(
            (name, _error(_mapping(measured.get(name)), "float32"))
            for name in _BY_PRECISION
            if name in measured
        ),
        ("search", _search(_mapping(measured.get("search")))),
        ("judged on", _frames(_mapping(measured.get("frames")))),
        ("golden", _golden(_mapping(facts["golden"]))),
        ("bound_provider", str(facts["bound_provider"])),
        ("int8_sums", facts["int8_sums"] or ""),
        ("tuned", "no" if facts["tuned"] is None else ", ".join(facts["tuned"])),
    ]
    return [(name, value) for name, value in rows if value]


def _kind(spec: ModelSpec) -> str:
    unit = f" in {spec.unit}" if spec.unit else ", relative"
    ranged = ""
    if spec.output_range is not None:
        low, high = spec.output_range
        ranged = f"; {low:.4g} to {high:.4g} was seen"
    return f"{spec.kind}{unit}, larger is {spec.larger_is}{ranged}"


def _precision(facts: Mapping[str, Any], spec: ModelSpec) -> str:
    bits = facts["weight_bits"]
    return spec.precision + (f", weights of {bits} bits" if bits else "")


def _normalisation(provenance: Mapping[str, Any]) -> str:
    """How a pixel reaches the network, and how that is known."""
    used = _mapping(provenance.get("normalisation"))
    mean, std, scale = (used.get(name) for name in ("mean", "std", "scale"))
    if not (_is_three(mean) and _is_three(std) and _is_number(scale)):
        return ""
    text = f"mean {_numbers(mean)}, std {_numbers(std)}, pixels x {scale:.4g}"
    assumed = str(_mapping(provenance.get("assumed")).get("input", ""))
    if assumed:
        return f"{text} ({'assumed' if assumed.startswith('pixel/255') else 'partly assumed'})"
    is_found = _mapping(provenance.get("found")).get("open_normalisation") is True
    return f"{text} ({'found' if is_found else 'said'})"


def _found(provenance: Mapping[str, Any]) -> str:
    """What was found on frames, with its figures."""
    seen = provenance.get("seen")
    lines = seen if isinstance(seen, (list, tuple)) else ()
    prefix = "found: "
    return next((str(line)[len(prefix) :] for line in lines if str(line).startswith(prefix)), "")


def _metres(facts: Mapping[str, Any]) -> str:
    """The formula of a scaled file, its points and its error."""
    if not isinstance(facts.get("formula"), str):
        return ""
    parts = [facts["formula"]]
    if _is_number(facts.get("point_count")):
        parts.append(f"{facts['point_count']} points")
    error = _mapping(facts.get("error"))
    figures = [error.get(name) for name in ("abs_rel", "low", "high")]
    if all(map(_is_number, figures)):
        centre, low, high = figures
        left_out = error.get("left_out", "point")
        parts.append(f"AbsRel of a {left_out} left out {centre:.2f}, 95% {low:.2f} to {high:.2f}")
    return "; ".join(parts)


def _tensors(tensors: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {form}" for name, form in tensors.items())


def _error(facts: Mapping[str, Any], against: str) -> str:
    """The proof's error, and the time beside float32 where it was measured."""
    mean, worst = facts.get("mean_error"), facts.get("worst_mean_error")
    if not (_is_number(mean) and _is_number(worst)):
        return ""
    beside = f" beside {against}" if against else ""
    text = f"error{beside} {mean:.2g} of the depth's spread, worst frame {worst:.2g}"
    if _is_number(facts.get("frames")):
        text += f", {facts['frames']} frames"
    return text + _time(facts)


def _search(facts: Mapping[str, Any]) -> str:
    if not isinstance(facts.get("recipe"), str):
        return ""
    parts = [facts["recipe"]]
    if isinstance(facts.get("provider"), str):
        parts[0] += f" on {facts['provider']}"
    if _is_number(facts.get("error")):
        parts.append(f"error beside float32 {facts['error']:.2g} of the depth's spread")
    if _is_number(facts.get("accuracy_drop")):
        parts.append(f"AbsRel {facts['accuracy_drop']:+.1%}")
    return ", ".join(parts) + _time(facts)


def _time(facts: Mapping[str, Any]) -> str:
    ratio, interval = facts.get("latency_ratio"), facts.get("latency_ratio_interval")
    if not _is_number(ratio):
        return ""
    span = ""
    if (
        isinstance(interval, (list, tuple))
        and len(interval) == 2
        and all(map(_is_number, interval))
    ):
        span = f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"; {ratio:.2f}{span} of float32's time where it was made"


def _frames(facts: Mapping[str, Any]) -> str:
    if not isinstance(facts.get("source"), str):
        return ""
    same = facts.get("same_source_as_calibration")
    warning = ", which it was calibrated on, too" if isinstance(same, list) and same else ""
    return f"{facts.get('count', '')} frames of {facts['source']}{warning}".strip()


def _golden(facts: Mapping[str, Any]) -> str:
    count = facts.get("frames")
    return f"{count} frames: `depthrt verify` replays them" if count else "no frames"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_three(value: object) -> TypeGuard[Sequence[float]]:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(map(_is_number, value))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))

"""Which blocks of a network lose most by a recipe, on real frames that calibration never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

BlockErrors: TypeAlias = Mapping[str, float]
"""Error of the network with this block alone quantised; blocks that could not be are 0."""


def block_errors(
    names: Sequence[str],
    error_of: Callable[[Sequence[str]], float | None],
    late: Callable[[], bool],
) -> dict[str, float]:
    """Quantise one block at a time, all others float.

    One at a time costs one run a block, and the errors of independent blocks add up in squares,
    which :func:`expected_error` relies on. (All but one would hide a weak block behind others.)

    Args:
        error_of: error with these blocks left in float; None where nothing is left to quantise.
        late: whether the time is up; the blocks not reached are missing.
    """
    errors: dict[str, float] = {}
    for name in names:
        if late():
            break
        error = error_of([other for other in names if other != name])
        errors[name] = 0.0 if error is None else error
    return errors


def ranked(errors: BlockErrors) -> list[str]:
    """The blocks, the most sensitive first; equal ones in the order of the network."""
    order = list(errors)
    return sorted(order, key=lambda name: (-errors[name], order.index(name)))


def expected_error(errors: BlockErrors, spared: Sequence[str], measured: float) -> float:
    """Error to expect with these blocks in float, from that with all of them quantised."""
    total = sum(e * e for e in errors.values())
    left = sum(e * e for name, e in errors.items() if name not in set(spared))
    return measured * (left / total) ** 0.5 if total > 0 else measured


def counts(errors: BlockErrors, measured: float, allowed: float) -> list[int]:
    """How many of the most sensitive blocks to spare, in the order to try.

    Begins at the first count of which somewhat more than the allowed error is expected, and grows
    by one, then by a quarter.
    """
    order = ranked(errors)
    most = len(order) - 1
    first = next(
        (k for k in range(1, most + 1) if expected_error(errors, order[:k], measured) <= allowed),
        most,
    )
    tried, count = [], max(1, first - 1)
    while count <= most:
        tried.append(count)
        count = max(count + 1, round(count * 1.25))
    return tried

"""Names that tell sets apart in every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def distinct_names(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    """Names as they are where each is the only one, else with the folders that tell them apart.

    Args:
        names: of the sets; one that is its folder's name gets the folders above before it, one
            of a benchmark ("ETH3D") its folder in brackets.
        places: where the sets lie; two of one name and one place are numbered.
    """
    counts = Counter(names)
    result = list(names)
    for name in (name for name, count in counts.items() if count > 1):
        members = [i for i, other in enumerate(names) if other == name]
        tails = _tails([places[i].resolve() for i in members])
        for i, tail in zip(members, tails, strict=True):
            result[i] = tail if tail.split("/")[-1] == name else f"{name} ({tail})"
    return _numbered(result)


def _tails(places: Sequence[Path]) -> list[str]:
    """The last parts of paths, as few as tell different ones apart."""
    different = len(set(places))
    for count in range(1, max(len(place.parts) for place in places) + 1):
        tails = ["/".join(place.parts[-count:]) for place in places]
        if len(set(tails)) == different:
            return tails
    return [place.as_posix() for place in places]


def _numbered(names: Sequence[str]) -> list[str]:
    """Each name once: those that stand there again get a number."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return result

"""Names that tell models and sets apart in every output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def labels_of(*texts: str) -> list[str]:
    """Short names of model files: their stems, with as many folders as tell all apart."""
    labels = _tails([Path(text).with_suffix("") for text in texts])
    return labels if len(set(labels)) == len(labels) else list(texts)


def distinct_names(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    """Names, of which those that occur twice get the folders that tell them apart.

    Args:
        names: of the sets. A name that is its folder's gets the folders above it in front, any
            other ("ETH3D") gets its folder in brackets.
        places: where the sets lie. Two of the same name and place get numbers.
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
    """The last parts of each path: as many as tell different paths apart."""
    different = len(set(places))
    for count in range(1, max(len(place.parts) for place in places) + 1):
        tails = ["/".join(place.parts[-count:]) for place in places]
        if len(set(tails)) == different:
            return tails
    return [place.as_posix() for place in places]


def _numbered(names: Sequence[str]) -> list[str]:
    """Names, of which repetitions get a number."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return result

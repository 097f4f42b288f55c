"""Choose calibration frames from sources and store them in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import SourceError, UsageError
from depthrt.sources.display_name import shown_names
from depthrt_calibration import image_features as features
from depthrt_calibration.contact_sheet import contact_sheet, thumbnail
from depthrt_calibration.diverse_selection import METHOD, choose, nearest_other
from depthrt_calibration.frame_folder import FORMAT, VERSION, FrameFolder, check_folder, pixel_hash
from depthrt_calibration.recordings import recordings
from depthrt_calibration.scan import Counts, Seen, check_sources, scan

FEWEST = 8
"""Fewer frames give arbitrary ranges; int8 tools ask for tens to hundreds."""
_POOL = 4  # candidates on disk, as a multiple of the count


@dataclass(frozen=True)
class CollectOptions:
    """How frames are chosen.

    - ``count``: how many at most;
    - ``limit``: frames to consider in all sources together;
    - ``every``: consider every n-th frame; None: spread over each source;
    - ``overwrite``: replace an earlier collection.
    """

    count: int = 64
    limit: int = 2000
    every: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.count < FEWEST:
            raise UsageError(f"--count {self.count} is less than {FEWEST}: ranges need more frames")
        if self.limit < self.count:
            raise UsageError(f"--limit {self.limit} is less than --count {self.count}")
        if self.every is not None and self.every < 1:
            raise UsageError(f"--every {self.every} is less than 1")


@dataclass(frozen=True, eq=False)
class _Kept:
    """A candidate in the pool; ``file`` is its temporary name."""

    file: str
    entry: dict[str, Any]
    feature: features.Feature
    scene: int
    small: NDArray[np.uint8]


def collect(
    sources: Sequence[str],
    target: Path,
    options: CollectOptions,
    progress: Callable[[int, int], None] = lambda considered, kept: None,
) -> dict[str, Any]:
    """Choose frames of all sources and store them in the folder ``target``.

    Reads every source once, so that cameras and streams work like files. A frame that differs from
    all candidates is written to disk as a new one. At four times the count the candidates are
    reduced to twice the count, at the end to the count. Memory holds a feature vector and a
    thumbnail for each.

    Returns:
        The content of ``calibration.json``.

    Raises:
        SourceError: no frames, only empty frames, or fewer than 8 distinct ones.
        TargetError: the folder cannot be written or would be overwritten. If something else
            appeared there meanwhile, the finished folder stays beside it.
        WriteError: writing failed; nothing of it is left.
    """
    check_folder(target, sources, overwrite=options.overwrite)
    check_sources(sources)
    shown, counts = shown_names(sources), Counts()
    origins = {key: name for each in sources for key, name in recordings(each).items()}
    folder = FrameFolder(target, overwrite=options.overwrite)
    try:
        pool: list[_Kept] = []
        for seen in scan(sources, options.limit, options.every, counts):
            if _is_new(seen, pool):
                pool.append(_keep(seen, folder, len(pool) + counts.surplus))
                progress(counts.considered, len(pool))
            else:
                counts.near_duplicates += 1
            if len(pool) == _POOL * options.count:
                pool = _thin(pool, folder, 2 * options.count, counts)
        _check_enough(len(pool), counts, shown)
        pool = _thin(pool, folder, options.count, counts)
        names = [f"{number:04d}.png" for number in range(1, len(pool) + 1)]
        folder.rename({kept.file: name for kept, name in zip(pool, names, strict=True)})
        index = {**_index(shown, options, counts, pool, names), "recordings": origins}
        labels = [f"{n[:-4]} {k.entry['name']}" for n, k in zip(names, pool, strict=True)]
        folder.finish(index, contact_sheet([kept.small for kept in pool], labels))
    except BaseException:
        folder.discard()
        raise
    folder.place()
    return index


def _is_new(seen: Seen, pool: Sequence[_Kept]) -> bool:
    if not pool:
        return True
    others = np.stack([kept.feature for kept in pool])
    return float(features.distances(others, seen.feature).min()) >= features.NEAR_DUPLICATE


def _keep(seen: Seen, folder: FrameFolder, number: int) -> _Kept:
    image = seen.frame.image
    file = f"candidate_{number:06d}.png"
    folder.add(file, image)
    entry = {
        "source": seen.source,
        "name": seen.frame.stream,
        "index": seen.frame.index,
        "time_s": round(seen.frame.time_s, 6),
        "scene": seen.scene,
        "size": list(image.shape[:2]),
        "sha256": pixel_hash(image),
    }
    return _Kept(file, entry, seen.feature, seen.scene, thumbnail(image))


def _thin(pool: list[_Kept], folder: FrameFolder, count: int, counts: Counts) -> list[_Kept]:
    chosen = choose(np.stack([k.feature for k in pool]), [k.scene for k in pool], count)
    wanted = set(chosen)
    for number, kept in enumerate(pool):
        if number not in wanted:
            folder.remove(kept.file)
            counts.surplus += 1
    return [pool[number] for number in chosen]


def _check_enough(distinct: int, counts: Counts, sources: Sequence[str]) -> None:
    where = sources[0] if len(sources) == 1 else f"the {len(sources)} sources"
    if counts.considered == 0:
        raise SourceError(f"{where} gave no frame")
    if counts.black + counts.blank == counts.considered:
        raise SourceError(
            f"all {counts.considered} frames of {where} are black or of one colour: nothing can be "
            "calibrated on them"
        )
    if distinct < FEWEST:
        reasons = counts.reasons()
        frames = "frame" if distinct == 1 else "frames"
        raise SourceError(
            f"{where} gave {distinct} distinct {frames}, but calibration needs at least {FEWEST} "
            f"({counts.considered} looked at{', of these ' + reasons if reasons else ''}): "
            "give more or other sources"
        )


def _index(
    sources: Sequence[str],
    options: CollectOptions,
    counts: Counts,
    pool: Sequence[_Kept],
    names: Sequence[str],
) -> dict[str, Any]:
    apart = nearest_other(np.stack([kept.feature for kept in pool]))
    found = asdict(counts)
    losses = found.pop("losses")
    return {
        "format": FORMAT,
        "version": VERSION,
        "sources": list(sources),
        "method": {
            "choice": METHOD,
            "feature": features.FAMILY,
            "near_duplicate_below": features.NEAR_DUPLICATE,
            "count": options.count,
            "limit": options.limit,
            "every": options.every,
        },
        "considered": found.pop("considered"),
        "left_out": found,
        "losses": losses,
        "scenes": len({kept.scene for kept in pool}),
        "frames": [
            {"file": name, **kept.entry, "distance": round(distance, 4)}
            for name, kept, distance in zip(names, pool, apart, strict=True)
        ],
    }

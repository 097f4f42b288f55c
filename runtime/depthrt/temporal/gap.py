"""Depth of every frame of a recording, the network on a few.

A recording can look ahead. The network runs at both ends of a gap; if the two depth maps agree once
they are carried over to one another by optical flow, the frames between get both maps, carried over
and blended; else the middle frame is inferred, too, and both halves are asked again. Nothing is
inferred that would not be inferred anyway: at worst every frame is, once.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from depthrt.model.inference import Prediction
from depthrt.temporal.interpolate import Link, between, error_of, link
from depthrt.temporal.keyframes import Allowance, Estimate, Grey, Keyframe, Keyframes
from depthrt.temporal.optical_flow import MIN_SIDE
from depthrt.temporal.warp import Warp

Infer: TypeAlias = Callable[[Sequence[int]], Sequence[Prediction]]

_BEFORE = -1  # the index of the frame before the first
_ALLOWED = 2.5  # disagreement over the budget that makes about half the budget of error


class Gap:
    """The frames between two keyframes, the last one included.

    Args:
        greys: their thumbnails.
        cuts: whether a new scene begins with a frame.
        options: when the network need not run.
        align: fit scale and shift between keyframes, as of relative depth.
        number: of the gap in its stream, which decides the frames that are audited.
    """

    def __init__(
        self,
        greys: Sequence[Grey],
        cuts: Sequence[bool],
        options: Keyframes,
        *,
        align: bool,
        number: int = 0,
    ) -> None:
        self._greys = dict(enumerate(greys))
        self._cuts, self._options, self._align = cuts, options, align
        self._random = random.Random(number)
        self._warp = Warp()
        self._made: dict[int, Prediction] = {}

    def infer_ends(self, infer: Infer, *, after_keyframe: bool) -> Prediction:
        """Run the network for the last frame, and for those around every cut.

        Args:
            infer: runs the network for frames, given by index, in order.
            after_keyframe: whether there is a keyframe before the first frame.

        Returns:
            What the last frame is given.
        """
        count = len(self._greys)
        begin = _BEFORE if after_keyframe and not self._cuts[0] else 0
        spans = _spans(count, self._cuts, begin, self._options.most)
        if min(self._greys[0].shape) < MIN_SIDE:  # too small for flow
            spans = [(i, i) for i in range(count)]
        self._spans = spans
        self._infer(sorted({i for span in spans for i in span} - {_BEFORE}), infer)
        return self._made[count - 1]

    def fill(self, before: Keyframe | None, allowance: Allowance, infer: Infer) -> list[Estimate]:
        """What every frame is given.

        Args:
            before: the keyframe before the first frame; None where there turned out to be none.
            allowance: how much disagreement is let pass.
            infer: as for :meth:`infer_ends`.
        """
        if before is not None:
            self._greys[_BEFORE], self._made[_BEFORE] = before.grey, before.made
        elif self._spans[0][0] == _BEFORE:
            self._spans[0] = (0, self._spans[0][1])
            self._infer([0], infer)
        allowed = allowance.share * _ALLOWED * self._options.budget
        links: dict[tuple[int, int], Link] = {}
        asked = [span for span in self._spans if span[1] - span[0] > 1]
        while asked:
            halves: list[tuple[int, int]] = []
            for first, last in asked:
                found = link(self._key(first), self._key(last), self._warp.flow, align=self._align)
                if found.disagreement <= allowed:
                    links[first, last] = found
                else:
                    middle = (first + last) // 2
                    halves += [(first, middle), (middle, last)]
            self._infer([last for _, last in halves[::2]], infer)
            asked = [half for half in halves if half[1] - half[0] > 1]
        return self._estimates(links, infer)

    def _infer(self, wanted: Sequence[int], infer: Infer) -> None:
        missing = [index for index in wanted if index not in self._made]
        if missing:
            self._made.update(zip(missing, infer(missing), strict=True))

    def _estimates(self, links: Mapping[tuple[int, int], Link], infer: Infer) -> list[Estimate]:
        given = {
            index: self._between(span, found, index)
            for span, found in links.items()
            for index in range(span[0] + 1, span[1])
        }
        audited = [i for i in sorted(given) if self._random.random() < self._options.audit]
        self._infer(audited, infer)
        errors = {i: error_of(given[i].depth, self._made[i].depth) for i in audited}
        return [
            Estimate(self._made[index], True, errors.get(index), grey=self._greys[index])
            if index in self._made
            else Estimate(given[index], False, grey=self._greys[index])
            for index in range(len(self._cuts))
        ]

    def _key(self, index: int) -> Keyframe:
        return Keyframe(self._greys[index], self._made[index])

    def _between(self, span: tuple[int, int], found: Link, index: int) -> Prediction:
        first, last = span
        time = (index - first) / (last - first)
        ends = self._key(first), self._key(last)
        return between(*ends, found, self._greys[index], time, self._warp)


def _spans(count: int, cuts: Sequence[bool], begin: int, most: int) -> list[tuple[int, int]]:
    """First and last frame of every stretch of at most ``most`` steps; scenes share none."""
    firsts = [begin, *(index for index in range(max(1, begin + 1), count) if cuts[index])]
    lasts = [*(first - 1 for first in firsts[1:]), count - 1]
    spans = []
    for first, last in zip(firsts, lasts, strict=True):
        ends = [*range(first, last, most), last]
        spans += list(itertools.pairwise(ends)) or [(first, last)]
    return spans

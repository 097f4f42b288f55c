"""When the network need not run, and what frames are given then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import UsageError
from depthrt.model.inference import Prediction

Grey: TypeAlias = NDArray[np.uint8]  # h,w of a thumbnail

AUDIT = 0.02
MOST_FRAMES = 8  # of a gap
THUMBNAIL_SIDE = 72  # pixels, about: flow as exact as on larger ones, in half of the time
_SLOW = 0.1  # least weight of a new audit in the running mean
_AIM = 0.8  # of the budget
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Keyframes:
    """When the network need not run.

    - ``budget``: mean difference to the network's depth, whatever its sign, that is allowed, as a
      share of that depth's 2-98 percentile spread;
    - ``audit``: share of the interpolated frames that are inferred as well, to state the error;
    - ``most``: frames from one keyframe to the next, at most.

    Raises:
        UsageError: a share outside 0..1, a budget of 0, or a gap of no frame.
    """

    budget: float
    audit: float = AUDIT
    most: int = MOST_FRAMES

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise UsageError(f"--keyframes {self.budget:g} is no share above 0, such as 2%")
        if not 0 <= self.audit <= 1:
            raise UsageError(f"--audit {self.audit:g} is no share from 0 to 1, such as 2%")
        if self.most < 1:
            raise UsageError(f"a gap of {self.most} frames has no end")


def keyframes_of(said: Keyframes | float | None) -> Keyframes | None:
    """A budget alone stands for the usual audits and gaps.

    Raises:
        UsageError: as :class:`Keyframes`.
    """
    return Keyframes(said) if isinstance(said, (int, float)) else said


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A frame that was inferred: its grey thumbnail, and what the network gave for it."""

    grey: Grey
    made: Prediction


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a frame is given.

    - ``made``: depth h,w and what the model gives beside it;
    - ``inferred``: whether the network gave it;
    - ``error``: of an audited frame, mean |interpolated - inferred| over the spread; else None;
    - ``age_s``: of a live frame, how much older the keyframe is that its depth comes from;
    - ``grey``: its thumbnail, where there is one, so that nobody makes it anew.
    """

    made: Prediction
    inferred: bool
    error: float | None = None
    age_s: float | None = None
    grey: Grey | None = None


@dataclass(frozen=True)
class Allowance:
    """How much disagreement is let pass, by what the audits found so far.

    - ``share``: of what is let pass where nothing speaks against it, above 0 to 1;
    - ``rate``: error of an audit over the share at that time, a running mean;
    - ``audits``: how many there were.
    """

    share: float = 1.0
    rate: float = 0.0
    audits: int = 0

    def after(self, errors: Sequence[float], budget: float) -> Allowance:
        """What is let pass after more audits: less where they come near the budget."""
        rate, audits = self.rate, self.audits
        for error in errors:
            audits += 1
            rate += max(_SLOW, 1 / audits) * (error / self.share - rate)
        share = 1.0 if rate <= 0 else _AIM * budget / rate
        return Allowance(min(1.0, max(_LEAST_SHARE, share)), rate, audits)

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
_SLOW = 0.1  # weight of a new audit in the running mean
_EASY = 0.7  # of the budget: with less error, more is allowed again
_MORE = 1.1
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Keyframes:
    """When the network need not run.

    - ``budget``: mean |given - inferred| allowed, as a share of the depth's 2-98 percentile spread;
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
    - ``age_s``: of a live frame, how much older the keyframe is that its depth comes from.
    """

    made: Prediction
    inferred: bool
    error: float | None = None
    age_s: float | None = None


@dataclass(frozen=True)
class Allowance:
    """How much disagreement is let pass, by what the audits found so far.

    - ``share``: of what is allowed where nothing speaks against it, above 0 to 1;
    - ``error``: running mean of the audits; None before the first.
    """

    share: float = 1.0
    error: float | None = None

    def after(self, errors: Sequence[float], budget: float) -> Allowance:
        """What is allowed after more audits: less where they exceed the budget."""
        share, running = self.share, self.error
        for error in errors:
            running = error if running is None else running + _SLOW * (error - running)
            ratio = running / budget
            share *= _MORE if ratio < _EASY else 1 / max(1.0, ratio)
        return Allowance(min(1.0, max(_LEAST_SHARE, share)), running)

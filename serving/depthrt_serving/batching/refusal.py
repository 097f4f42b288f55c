"""Work that the batcher does not take, or gives up before it is computed."""

from __future__ import annotations

from typing import Literal

Reason = Literal["queue_full", "displaced", "late"]


class RefusedError(Exception):
    """Images that are not computed.

    - ``reason``: ``queue_full``: as many wait as may; ``displaced``: the queue was full, and other
      clients had fewer images in it; ``late``: the answer would come after its deadline;
    - ``retry_after_s``: when it is worth another try, by the queue and the measured rate.
    """

    def __init__(self, reason: Reason, retry_after_s: float) -> None:
        self.reason: Reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(f"{_SENTENCES[reason]}: try again in {retry_after_s:.1f} s")


_SENTENCES: dict[Reason, str] = {
    "queue_full": "too many images wait already",
    "displaced": "too many images wait, and more of this client than of others",
    "late": "the answer would come after its deadline",
}

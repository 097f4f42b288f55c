"""Work that the batcher does not take, or gives up before it is computed."""

from __future__ import annotations

from typing import Literal

Reason = Literal["queue_full", "displaced", "late"]


class RefusedError(Exception):
    """Images that are not computed.

    - ``reason``: ``queue_full``: as many wait as may; ``displaced``: the queue was full, and other
      clients had fewer images in it; ``late``: the answer would come after its deadline;
    - ``retry_after_s``: when it is worth another try, by the queue and the measured rate; None: it
      is not, as the images take ``least_s`` even if nobody else is there.
    """

    def __init__(
        self, reason: Reason, retry_after_s: float | None, least_s: float | None = None
    ) -> None:
        self.reason: Reason = reason
        self.retry_after_s = retry_after_s
        if retry_after_s is None:
            advice = f"it takes {least_s:.3f} s at least, so allow more"
        else:
            advice = f"try again in {retry_after_s:.1f} s"
        super().__init__(f"{_SENTENCES[reason]}: {advice}")


_SENTENCES: dict[Reason, str] = {
    "queue_full": "too many images wait already",
    "displaced": "too many images wait, and more of this client than of others",
    "late": "the answer would come after its deadline",
}

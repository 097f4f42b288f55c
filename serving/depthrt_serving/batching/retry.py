"""When those who are refused should come back: one after the other, not all at once."""

from __future__ import annotations

import time

_QUEUES = 4


class RetryLine:
    """The places that were promised to those who were refused.

    Everybody who is refused is told a time of their own, each as much later as their images take.
    Told the same time, all would come at once, and all but one would be refused again.

    Args:
        images: of the queue; nobody is sent away for longer than four full queues take, beyond what
            they have to wait in any case: many never come back.
    """

    def __init__(self, images: int) -> None:
        self._images = images
        self._promised_s = 0.0

    def book(self, images: int, excess_s: float, rate: float) -> float:
        """Seconds after which it is worth another try.

        Args:
            images: that were refused.
            excess_s: until there is room for them, if nobody else comes.
            rate: images that leave in a second.
        """
        now_s = time.monotonic()
        soonest_s = now_s + excess_s
        in_turn_s = self._promised_s + images / rate
        self._promised_s = max(soonest_s, min(in_turn_s, soonest_s + _QUEUES * self._images / rate))
        return self._promised_s - now_s

"""How long a batch takes, how many images leave in a second, how late the loop is, as measured."""

from __future__ import annotations

import math

_WEIGHT = 0.1  # of the newest batch in the mean
_DOUBT = 0.9
_WAYS = 2  # to the server and back
_MEMORY_S = 2.0  # busy time over which the rate is measured
_ENOUGH_S = 0.05  # of busy time, before the measured rate counts


class Estimate:
    """The time of a batch and the rate of images.

    Args:
        batch_s: what a batch took when the model was loaded.
        images: in that batch.
        parallel: batches that run at a time.
    """

    def __init__(self, batch_s: float, images: int, parallel: int) -> None:
        self._mean_s, self._deviation_s = batch_s, batch_s / 4
        self._least_s, self._least_image_s = batch_s, batch_s / images
        self._images_per_batch, self._parallel = float(images), parallel
        self._lag_s, self._lag_deviation_s = 0.0, 0.0
        self._images, self._busy_s = 0.0, 0.0
        self._last_s: float | None = None

    def add(self, images: int, seconds: float, now_s: float, *, backlog: bool) -> None:
        """Note a batch that has ended.

        Args:
            images: in it.
            seconds: that it took.
            now_s: the time at which it ended.
            backlog: whether images wait; then the time to the next end is busy time.
        """
        self._least_s = min(self._least_s, seconds)
        self._least_image_s = min(self._least_image_s, seconds / images)
        error = seconds - self._mean_s
        self._mean_s += _WEIGHT * error
        self._deviation_s += _WEIGHT * (abs(error) - self._deviation_s)
        self._images_per_batch += _WEIGHT * (images - self._images_per_batch)
        if self._last_s is not None:
            span_s = now_s - self._last_s
            keep = math.exp(-span_s / _MEMORY_S)
            self._images, self._busy_s = self._images * keep + images, self._busy_s * keep + span_s
        self._last_s = now_s if backlog else None

    def add_lag(self, seconds: float) -> None:
        """Note how late the event loop came to something that was ready."""
        error = seconds - self._lag_s
        self._lag_s += _WEIGHT * error
        self._lag_deviation_s += _WEIGHT * (abs(error) - self._lag_deviation_s)

    def skip(self, seconds: float, now_s: float, *, backlog: bool) -> None:
        """Note a batch that was ended early after so long, of which the rate learns nothing."""
        self._least_s = max(self._least_s, seconds)
        self._last_s = now_s if backlog else None

    @property
    def batch_s(self) -> float:
        """What a batch takes at most, nearly always: the mean and twice the mean deviation."""
        return self._mean_s + 2 * self._deviation_s

    @property
    def ways_s(self) -> float:
        """What passes, nearly always at most, before the server sees a request and with its answer.

        Both wait for the event loop, whose lag is the mean and twice the mean deviation.
        """
        return _WAYS * (self._lag_s + 2 * self._lag_deviation_s)

    def doubt(self) -> None:
        """Take the shortest time for a little shorter, as somebody was refused because of it.

        It may be that of a busy moment, which no batch would ever correct.
        """
        self._least_s *= _DOUBT
        self._least_image_s *= _DOUBT

    def least_s_for(self, images: int) -> float:
        """What so many images take if all goes as fast as it ever did."""
        return self._least_s + (images - 1) * self._least_image_s / self._parallel

    @property
    def rate(self) -> float:
        """Images per second that leave while others wait."""
        if self._busy_s > _ENOUGH_S:
            return self._images / self._busy_s
        return self._parallel * self._images_per_batch / self._mean_s

"""Calls that may block for long, made so that Ctrl-C is heard meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")
_LOOK_S = 1.0
_AT_ONCE = 8


class _Outcomes(Generic[T]):
    """What the calls gave so far; those that end after nobody waits any more are discarded."""

    def __init__(self, calls: Sequence[Callable[[], T]], discard: Callable[[T], None]) -> None:
        self._calls, self._discard = list(calls), discard
        self._changed = threading.Condition()
        self._begun = self._ended = 0
        self._abandoned = False
        self._found: list[T | BaseException | None] = [None] * len(calls)

    def run(self) -> None:
        """Make calls until none is left; the work of one thread."""
        while True:
            with self._changed:
                number = self._begun
                if self._abandoned or number == len(self._calls):
                    return
                self._begun += 1
            outcome: T | BaseException
            try:
                outcome = self._calls[number]()
            except BaseException as error:  # it travels to whoever waits
                outcome = error
            with self._changed:
                self._found[number] = outcome
                self._ended += 1
                self._changed.notify_all()
                abandoned = self._abandoned
            if abandoned and not isinstance(outcome, BaseException):
                with suppress(Exception):
                    self._discard(outcome)

    def wait(self) -> list[T | BaseException]:
        """Wait for all; when that is interrupted, whatever there is or comes is discarded."""
        try:
            with self._changed:
                while self._ended < len(self._calls):
                    self._changed.wait(_LOOK_S)
                return [outcome for outcome in self._found if outcome is not None]
        except BaseException:
            with self._changed:
                self._abandoned = True
                found = list(self._found)
            for outcome in found:
                if outcome is not None and not isinstance(outcome, BaseException):
                    with suppress(Exception):
                        self._discard(outcome)
            raise


def call_all(
    calls: Sequence[Callable[[], T]], discard: Callable[[T], None]
) -> list[T | BaseException]:
    """What each call gives or raises, in order; some are made at a time, in threads.

    Ctrl-C ends the wait at once. A call that is still held up then goes on in its thread, and what
    it gives is handed to ``discard``. No call may give None.
    """
    outcomes: _Outcomes[T] = _Outcomes(calls, discard)
    for _ in range(min(_AT_ONCE, len(calls))):
        threading.Thread(target=outcomes.run, name="depthrt-open", daemon=True).start()
    return outcomes.wait()


def call(function: Callable[[], T], discard: Callable[[T], None]) -> T:
    """What a call gives, made in a thread, so that Ctrl-C ends the wait for it at once.

    Raises:
        BaseException: what the call raised.
    """
    (outcome,) = call_all([function], discard)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome

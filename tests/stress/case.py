"""What a scenario is, and what it is given."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from stress.kit import Kit

CLOSE_S = 3.0  # a second is promised; a loaded machine may take longer


class WrongError(Exception):
    """A result or a state that must not be."""


@dataclass
class Case:
    """One run of a scenario.

    - ``rng``: all that is random comes from it;
    - ``folder``: a fresh, empty folder;
    - ``kit``: models, clips and what is right for them;
    - ``closes_s``: seconds that each close, stop or signal took;
    - ``patience_s``: how long threads and files may take to go afterwards.
    """

    rng: random.Random
    folder: Path
    kit: Kit
    closes_s: list[float] = field(default_factory=list)
    patience_s: float = 3.0

    @contextmanager
    def ending(self, what: str, most_s: float = CLOSE_S) -> Iterator[None]:
        """Measure something that must end a stream soon."""
        start_s = time.monotonic()
        yield
        self.ended(what, time.monotonic() - start_s, most_s)

    def ended(self, what: str, seconds: float, most_s: float = CLOSE_S) -> None:
        """Record how long an end took."""
        self.closes_s.append(round(seconds, 3))
        if seconds > most_s:
            raise WrongError(f"{what} took {seconds:.1f} s")

    def nap(self, most_s: float = 0.2) -> None:
        """Sleep for a random time, often for none."""
        if self.rng.random() < 0.7:
            time.sleep(self.rng.random() * most_s)


def expect(condition: bool, complaint: str) -> None:
    """Raise WrongError unless the condition holds."""
    if not condition:
        raise WrongError(complaint)


def leave(results: Any, how: str) -> None:
    """Close or stop a stream, or leave that to whoever drops it last."""
    if how:
        getattr(results, how)()


class Job(threading.Thread):
    """Work in a thread; ``result()`` waits for it and raises what it raised."""

    def __init__(self, work: Callable[[], object], name: str = "stress") -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._value: object = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Do the work."""
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error

    def result(self, timeout_s: float = 15.0) -> object:
        """What the work returned."""
        self.join(timeout_s)
        expect(not self.is_alive(), f"a thread of the caller is blocked after {timeout_s:g} s")
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._value
        finally:
            del error


Play: TypeAlias = Callable[[Case], None]


@dataclass(frozen=True)
class Scenario:
    """A function that raises WrongError where something is not right."""

    name: str
    play: Play
    weight: int
    limit_s: float

    @property
    def purpose(self) -> str:
        """What it tries, in a line."""
        return (self.play.__doc__ or "").strip().split("\n")[0]


SCENARIOS: dict[str, Scenario] = {}


def scenario(*, weight: int = 1, limit_s: float = 30.0) -> Callable[[Play], Play]:
    """Register a scenario: ``weight`` times a round, killed after ``limit_s``."""

    def register(play: Play) -> Play:
        name = play.__name__
        SCENARIOS[name] = Scenario(name, play, weight, limit_s)
        return play

    return register

"""The frame that waits, of one connection."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import NamedTuple


class SentFrame(NamedTuple):
    """A frame as it came: its number, when it came (``time.monotonic``), and its file."""

    number: int
    arrived_s: float
    content: bytes


@dataclass(eq=False)
class Newest:
    """The frame that waits; a newer one takes its place.

    - ``received``, ``dropped``: frames that came, and those whose place was taken.
    """

    received: int = 0
    dropped: int = 0
    _frame: SentFrame | None = None
    _there: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, content: bytes) -> bool:
        """Keep a frame; whether another one lost its place."""
        replaces = self._frame is not None
        self.dropped += replaces
        self._frame = SentFrame(self.received, time.monotonic(), content)
        self.received += 1
        self._there.set()
        return replaces

    async def take(self) -> SentFrame:
        """The frame, once there is one."""
        while self._frame is None:
            self._there.clear()
            await self._there.wait()
        frame, self._frame = self._frame, None
        return frame

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

    def put(self, content: bytes) -> SentFrame | None:
        """Keep a frame; the one that lost its place, if there was one."""
        replaced = self.clear()
        self.dropped += replaced is not None
        self._frame = SentFrame(self.received, time.monotonic(), content)
        self.received += 1
        self._there.set()
        return replaced

    def refuse(self) -> int:
        """Count a frame that is not kept; its number."""
        self.received += 1
        return self.received - 1

    def clear(self) -> SentFrame | None:
        """Take the frame out that waits, if there is one."""
        frame, self._frame = self._frame, None
        return frame

    async def take(self) -> SentFrame:
        """The frame, once there is one."""
        while (frame := self.clear()) is None:
            self._there.clear()
            await self._there.wait()
        return frame

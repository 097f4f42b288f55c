"""A time-out that needs no task of its own, as ``asyncio.wait_for`` does before Python 3.12."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 11):

    async def within(work: Awaitable[T], seconds: float) -> T:
        """What the work gives.

        Raises:
            asyncio.TimeoutError: it took longer; it was cancelled.
        """
        async with asyncio.timeout(seconds):
            return await work

else:

    async def within(work: Awaitable[T], seconds: float) -> T:
        """What the work gives.

        Raises:
            asyncio.TimeoutError: it took longer; it was cancelled.
        """
        return await asyncio.wait_for(work, max(0.0, seconds))

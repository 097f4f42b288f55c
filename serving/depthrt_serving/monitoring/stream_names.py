"""The names that clients give to their streams: few enough for labels of metrics."""

from __future__ import annotations

import time
from collections import OrderedDict

MOST_STREAMS = 32  # that are counted and watched by themselves
_FORGOTTEN_S = 24 * 3600.0  # a name that was not seen for so long makes room
UNNAMED = "unnamed"


class StreamNames:
    """The names in use, the one seen last at the end."""

    def __init__(self) -> None:
        self._seen_s: OrderedDict[str, float] = OrderedDict()

    def admit(self, name: str) -> str:
        """The name, if it is known or there is room for it; else empty."""
        if not name:
            return ""
        now_s = time.monotonic()
        while self._seen_s and now_s - next(iter(self._seen_s.values())) > _FORGOTTEN_S:
            self._seen_s.popitem(last=False)
        if name not in self._seen_s and len(self._seen_s) >= MOST_STREAMS:
            return ""
        self._seen_s[name] = now_s
        self._seen_s.move_to_end(name)
        return name

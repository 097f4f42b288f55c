"""The log: one JSON object a line, on standard output. Sentences for people go elsewhere."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import suppress
from typing import Any


def log(level: str, event: str, **facts: Any) -> None:
    """Write a line; ``facts`` must hold no secrets. One that cannot be written is lost."""
    now_s = time.time()
    stamp = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s)) + f".{int(now_s * 1e3) % 1000:03d}Z"
    )
    line = json.dumps({"time": stamp, "level": level, "event": event, **facts})
    with suppress(OSError, ValueError):  # a full disk, a closed terminal
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class JsonHandler(logging.Handler):
    """Writes what the web server's own loggers say into the same log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        facts: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            facts["error"] = repr(record.exc_info[1])
        log(record.levelname.lower(), "server", **facts)

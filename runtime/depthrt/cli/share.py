"""Shares on the command line."""

from __future__ import annotations

import re

from depthrt.errors import UsageError


def parse_share(text: str, option: str) -> float:
    """``5%`` or ``0.05``, above 0 to 1.

    Raises:
        UsageError: something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text)
    share = float(found.group(1)) / (100 if found.group(2) else 1) if found else -1.0
    if not 0 < share <= 1:
        raise UsageError(f"{option} {text!r} is not a share such as 5% or 0.05")
    return share

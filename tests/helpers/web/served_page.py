"""What tests look for in the page of `depthrt serve`."""

from __future__ import annotations

import time
from collections.abc import Callable

from helpers.web.browser import Tab

RESULT = "!document.getElementById('result').hidden"
KNOWN = "document.getElementById('model').textContent.includes(': ')"
RATE = "document.querySelector('[data-fact=rate]') !== null"
SIDES = ("width", "height")
NPY = {"Accept": "application/x-npy"}


def fact(tab: Tab, name: str) -> str:
    return tab.text(f"[data-fact={name}]")


def until(condition: Callable[[], bool]) -> None:
    """Wait until the server is so far."""
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def without(tab: Tab, report: str) -> None:
    """Forget what the browser itself reports of a refused request: no fault of the page."""
    tab.complaints[:] = [text for text in tab.complaints if report not in text]

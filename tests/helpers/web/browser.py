"""A headless Chromium, spoken to over the Chrome DevTools Protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 30.0
_OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-unsafe-swiftshader",  # WebGL without a GPU
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


def browser_path() -> str | None:
    """Where a browser is installed; None if none is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass(eq=False)
class Tab:
    """A page of the browser.

    - ``complaints``: what its console said as errors, and exceptions that nothing caught;
    - ``urls``: all that it asked for.
    """

    socket: ClientConnection
    complaints: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    session: str | None = None
    number: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            said = json.loads(self.socket.recv(PATIENCE_S))
            if said.get("id") == self.number:
                assert "error" not in said, (method, said["error"])
                found = said["result"]
                assert isinstance(found, dict)
                return found
            self._hear(said)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise what it gives."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str, patience_s: float = PATIENCE_S) -> Any:
        """What an expression gives as soon as it is true."""
        end_s = time.monotonic() + patience_s
        while True:
            found = self.run(script)
            if found:
                return found
            assert time.monotonic() < end_s, (script, self.text("main"), self.complaints)
            time.sleep(0.05)

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Load a page in a window of this size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def text(self, selector: str) -> str:
        """What is to be read in an element."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def drop(self, file: Path) -> None:
        """Drop a file onto the page, as from a file manager."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=200, y=200, data=data)

    def key(self, name: str, code: int = 0) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=code,
                text="\r" if name == "Enter" and kind == "keyDown" else "",
            )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event at a place of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def box(self, selector: str) -> dict[str, float]:
        """Where an element is in the window: x, y, width, height."""
        script = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        found = self.run(script)
        assert isinstance(found, dict)
        return found

    def screenshot(self) -> bytes:
        """All of the page as a PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def _hear(self, event: dict[str, Any]) -> None:
        method, facts = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(facts["exceptionDetails"]))
        elif method == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.complaints.append(facts["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.urls.append(facts["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.urls.append(facts["url"])


@contextmanager
def browsing(folder: Path) -> Iterator[Tab]:
    """A new browser with an empty page, until the end of the block.

    Args:
        folder: an empty one, for its profile.
    """
    path = browser_path()
    assert path is not None
    options = [*_OPTIONS, f"--user-data-dir={folder}"]
    if os.geteuid() == 0:  # Chromium's sandbox does not run as root
        options.append("--no-sandbox")
    with subprocess.Popen(
        [path, *options, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            with connect(_address_of(folder / "DevToolsActivePort"), max_size=None) as socket:
                yield _attached(socket)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _address_of(file: Path) -> str:
    """Where the browser listens, which it writes into a file of its profile."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        assert time.monotonic() < end_s, "the browser did not start"
        time.sleep(0.05)


def _attached(socket: ClientConnection) -> Tab:
    browser = Tab(socket)
    targets = browser.call("Target.getTargets")["targetInfos"]
    (page,) = (each["targetId"] for each in targets if each["type"] == "page")
    session = browser.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
    tab = Tab(socket, session=session, number=browser.number)
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.call(f"{domain}.enable")
    return tab

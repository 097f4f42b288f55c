"""Runs of a model on one batch, in this process or in that of another Python, timed."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError, ModelError, UsageError
from depthrt.files.json_file import is_number, parse_json
from depthrt.model.depth_model import DepthModel

What = Literal["network", "frame"]
_WORKER = Path(__file__).with_name("worker.py")
_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Workload:
    """A model file on a provider and the batch that it runs on.

    - ``what``: ``network``, on prepared pixels, or ``frame``, from picture to depth;
    - ``feed``: prepared pixels uint8 N,3,h,w, or the picture of a frame 1,3,H,W.
    """

    model: Path
    provider: str
    threads: int
    feed: NDArray[np.uint8] = field(repr=False)
    what: What = "network"


class Runner(Protocol):
    """A session that can be opened several times."""

    def open(self) -> None:
        """Load the model; an earlier session is released first."""

    def run(self, runs: int = 1) -> list[float]:
        """Milliseconds of each of so many runs."""

    def close(self) -> None:
        """Release everything."""


class Local:
    """A session in this process."""

    def __init__(self, load: Workload, model: DepthModel | None = None) -> None:
        self._load = load
        self.feed = load.feed
        self._model = model
        self.bound = "" if model is None else model.provider
        self._image = np.ascontiguousarray(load.feed[0].transpose(1, 2, 0))

    def open(self) -> None:
        """Load the model."""
        self._model = None
        load = self._load
        self._model = DepthModel.load(load.model, provider=load.provider, threads=load.threads)
        self.bound = self._model.provider

    def run(self, runs: int = 1) -> list[float]:
        """Milliseconds of each run."""
        if self._model is None:
            raise RuntimeError("not opened")
        taken_ms = []
        for _ in range(runs):
            start_s = time.perf_counter()
            if self._load.what == "network":
                self._model.infer(self._load.feed)
            else:
                self._model(self._image)
            taken_ms.append(1e3 * (time.perf_counter() - start_s))
        return taken_ms

    def close(self) -> None:
        """Release the session."""
        self._model = None


class Remote:
    """An engine in a process of another Python, driven through ``worker.py``.

    Args:
        load: what is run.
        python: of the environment that the engine is in.
        engine: ``depthrt``, or a Python file whose ``open_engine`` opens another one.
        settings: more of what that function is given.
    """

    def __init__(
        self,
        load: Workload,
        python: str | Path,
        engine: str | Path = "depthrt",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="depthrt-bench-")
        self._python = str(python)
        feed = Path(self._folder.name) / "feed.npy"
        np.save(feed, load.feed)
        self._order = {
            "do": "open",
            "engine": str(engine),
            "model": str(load.model.resolve()),
            "provider": load.provider,
            "threads": load.threads,
            "what": load.what,
            "feed": str(feed),
            **(settings or {}),
        }
        self.facts: dict[str, Any] = {}
        self.bound = ""
        try:
            self._process = subprocess.Popen(
                # -E: PYTHONPATH would put this process's packages before the environment's own.
                [self._python, "-E", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise UsageError(
                f"{python} is no Python that can be run ({error.strerror or error}): name the "
                "python of an environment, for instance .venv/bin/python"
            ) from error

    def open(self) -> None:
        """Load the model there."""
        self.facts = self._ask(self._order)
        self.bound = str(self.facts.get("bound", ""))

    def run(self, runs: int = 1) -> list[float]:
        """Milliseconds of each run, timed in that process."""
        taken_ms = self._ask({"do": "run", "runs": runs}).get("ms")
        if not isinstance(taken_ms, list) or not all(map(is_number, taken_ms)):
            raise InferenceError(f"{self._python} says no times of its runs")
        return [float(ms) for ms in taken_ms]

    def depths(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of prepared frames, one at a time: float32 N,h,w."""
        given, made = (str(Path(self._folder.name) / name) for name in ("in.npy", "out.npy"))
        np.save(given, frames)
        self._ask({"do": "depth", "frames": given, "to": made})
        return np.asarray(np.load(made), np.float32)

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("no pipes")
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:
            line = ""
        if not line:
            code = self._process.poll()
            raise InferenceError(
                f"the worker of {self._python} ended (exit code {code}) while it was to "
                f"{order['do']} {Path(self._order['model']).name}: does it have numpy and depthrt?"
            )
        try:
            said = parse_json(line)
        except ValueError as error:
            raise InferenceError(f"{self._python} answers with no JSON ({error})") from error
        if isinstance(said, dict) and isinstance(said.get("ok"), dict):
            found: dict[str, Any] = said["ok"]
            return found
        if not isinstance(said, dict) or not isinstance(said.get("error"), str):
            raise InferenceError(f"{self._python} answers with something else than was asked")
        kind = ModelError if order["do"] == "open" else InferenceError
        raise kind(f"{self._order['engine']} in {self._python}: {said['error']}")

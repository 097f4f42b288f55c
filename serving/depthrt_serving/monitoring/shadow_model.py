"""The shadow model, in a process of its own: it never holds up the server's Python."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import ModelError, UsageError
from depthrt.model.catalogue.registry import find_model
from depthrt.spec import ModelSpec
from depthrt_serving.monitoring.shadow_worker import SIZE, facts_of


class ShadowModel:
    """A model that runs on one thread at the lowest priority.

    Raises:
        ModelError: the file cannot be used.
    """

    def __init__(self, file: str) -> None:
        self.path = find_model(file)
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.facts = self._start()

    @classmethod
    def like(cls, spec: ModelSpec, file: str) -> ShadowModel:
        """A model whose depth can be compared with that of another one.

        Raises:
            ModelError: the file cannot be used.
            UsageError: they take other inputs, or their depth means something else.
        """
        found, own = cls(file), facts_of(spec)
        unlike = [name for name in own if own[name] != found.facts[name]]
        if unlike:
            found.close()
            raise UsageError(
                f"--shadow-model {found.path} differs from {spec.name} in its "
                f"{' and '.join(unlike)}: take the float file of the same network"
            )
        return found

    def depth(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Depth of a prepared picture (3,h,w), float32 h,w; None where it failed.

        A process that died is started again by the next call.
        """
        if self._closed:
            return None
        try:
            if self._process is None:
                self._start()
            return self._ask(pixels)
        except (OSError, ValueError, ModelError):  # a broken pipe, or one that was closed
            self._end()
            return None

    def close(self) -> None:
        """End the process for good."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _start(self) -> dict[str, Any]:
        command = [sys.executable, "-m", "depthrt_serving.monitoring.shadow_worker", str(self.path)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        out = self._process.stdout
        line = b"" if out is None else out.readline()
        facts: dict[str, Any] = json.loads(line) if line else {"error": f"{self.path} failed"}
        if "error" in facts:
            self._end()
            raise ModelError(facts["error"])
        return facts

    def _ask(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        process.stdin.write(SIZE.pack(*pixels.shape[1:]) + pixels.tobytes())
        process.stdin.flush()
        head = process.stdout.read(SIZE.size)
        if len(head) < SIZE.size:
            raise OSError("the process has ended")
        height, width = SIZE.unpack(head)
        if not height:
            return None
        content = process.stdout.read(4 * height * width)
        return np.frombuffer(content, np.float32).reshape(height, width)

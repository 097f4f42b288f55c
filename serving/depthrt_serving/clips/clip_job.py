"""One video that was sent, and what became of it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from depthrt.render.views import View
from depthrt.spec import InputSpec

Format = Literal["mp4", "mkv", "npz"]
State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class ClipWishes:
    """What is made of a video; ``depthrt run --help`` explains them."""

    form: Format = "mp4"
    view: View = "depth"
    colormap: str = "inferno"
    stabilise: bool | None = None


@dataclass(eq=False)
class ClipJob:
    """A job. The thread of the jobs changes it, and routes read it.

    - ``folder``: holds the video and the result, and is removed with the job;
    - ``ended_s``: when it was done or failed, by ``time.monotonic``;
    - ``result``: the file, once the job is done.
    """

    folder: Path
    wishes: ClipWishes
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    source: Path = Path()
    state: State = "waiting"
    frames: int = 0
    total: int | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    ended_s: float | None = None
    is_removed: bool = False
    process: subprocess.Popen[str] | None = None

    @property
    def result(self) -> Path:
        """Where the result is, or will be."""
        return self.folder / f"depth.{self.wishes.form}"

    @property
    def is_over(self) -> bool:
        """Whether it is done or failed."""
        return self.state in ("done", "failed")

    def bytes(self) -> int:
        """What it takes of the disk at present."""
        found = 0
        for path in self.folder.glob("*"):
            try:
                found += path.stat().st_size
            except OSError:  # it was removed or renamed meanwhile
                continue
        return found

    def as_dict(self, kept_s: float) -> dict[str, Any]:
        """The job as a JSON object; ``kept_s``: how long it is kept after its end."""
        left_s = None
        if self.ended_s is not None:
            left_s = round(max(0.0, self.ended_s + kept_s - time.monotonic()), 1)
        return {
            "id": self.id,
            "state": self.state,
            "frames": self.frames,
            "total_frames": self.total,
            "format": self.wishes.form,
            "result_bytes": self.result.stat().st_size if self.state == "done" else None,
            "error": self.error,
            "warnings": self.warnings,
            "expires_s": left_s,
        }

    def start(self, model: Path, provider: str, spec: InputSpec) -> subprocess.Popen[str]:
        """The process that runs it; ``spec`` is that of the model's input."""
        asked = {
            "source": str(self.source),
            "output": str(self.result),
            "model": str(model),
            "provider": provider,
            "input": asdict(spec),
            "view": self.wishes.view,
            "colormap": self.wishes.colormap,
            "stabilise": self.wishes.stabilise,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "depthrt_serving.clips.worker", json.dumps(asked)],
            stdin=subprocess.PIPE,  # never written to: it closes when the server ends
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C of the terminal is for the server
        )

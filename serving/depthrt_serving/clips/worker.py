"""The process of one job: `depthrt run` of a clip at low priority, with its progress as JSON lines.

python -m depthrt_serving.clips.worker '{"source": ..., "output": ..., ...}'
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from depthrt.errors import EXIT_DONE, DepthrtError, SourceError
from depthrt.jobs.run import Job, execute
from depthrt.sources.open import open_source
from depthrt.spec import InputSpec
from depthrt.system.process_settings import own_process
from depthrt_serving.settings import too_long

_NICENESS = 10
_EVERY_S = 0.2


def main(text: str) -> int:
    """Run the job that the text describes; gives the exit code."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    asked = json.loads(text)
    job = Job(
        source=asked["source"],
        output=Path(asked["output"]),
        model=asked["model"],
        provider=asked["provider"],
        view=asked["view"],
        colormap=asked["colormap"],
        stabilise=asked["stabilise"],
    )
    threading.Thread(
        target=_end_with_server, args=(Path(asked["output"]).parent,), daemon=True
    ).start()
    try:
        _check_size(asked)
        with own_process():
            summary = execute(job, progress=_progress)
    except DepthrtError as error:
        _say(error=_public(str(error), asked))
        return error.exit_code
    _say(frames=summary.frames, warnings=[_public(text, asked) for text in summary.warnings])
    return EXIT_DONE


def _end_with_server(folder: Path) -> None:
    """Wait until the server has gone, however it ended; nobody can fetch the result then."""
    while os.read(0, 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _check_size(asked: dict[str, Any]) -> None:
    """Refuse a clip at whose size the network would need too much memory.

    Raises:
        SourceError: it is so long or so high, or cannot be opened.
    """
    source = open_source(asked["source"])
    try:
        reason = too_long("the clip", source.info.size, InputSpec(**asked["input"]))
    finally:
        source.close()
    if reason:
        raise SourceError(reason)


def _public(text: str, asked: dict[str, Any]) -> str:
    """A sentence without the folders of the server."""
    for path in (asked["source"], asked["output"], asked["model"]):
        text = text.replace(f"{Path(path).parent}{os.sep}", "")
    return text


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[], None]]:
    _say(total=total)
    done, said_s = 0, 0.0

    def advance() -> None:
        nonlocal done, said_s
        done += 1
        now_s = time.monotonic()
        if now_s - said_s >= _EVERY_S:
            said_s = now_s
            _say(frames=done)

    yield advance


def _say(**facts: Any) -> None:
    with suppress(BrokenPipeError):  # the server has ended, and will end this, too
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

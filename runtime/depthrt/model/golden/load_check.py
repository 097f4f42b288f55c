"""A model that is loaded is checked once on each machine, provider and version of onnxruntime.

One golden frame is replayed: one inference and a few milliseconds. What came out right is noted in
the user's cache, so that later starts only look for the note. The note is known by the file (inode,
size, time of change), the machine as ``depthrt tune`` knows it, and the session's options that
change numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.errors import AccuracyGateError, DepthrtError
from depthrt.files.user_cache import user_cache
from depthrt.model.session import import_onnxruntime
from depthrt.system.machine_key import machine_key

if TYPE_CHECKING:
    from depthrt.model.golden.replay import Loaded, Replayed

VARIABLE = "DEPTHRT_VERIFY"
"""``0`` in this environment variable turns the check off."""


def check_once(model: Loaded) -> None:
    """Replay a golden frame, unless that was done before.

    Files without golden frames are not checked.

    Raises:
        AccuracyGateError: depth is wrong here; the message says what to do.
        ModelError: the golden frames are broken.
    """
    if os.environ.get(VARIABLE, "").strip() == "0":
        return
    note = _note(model)
    if note is not None and note.exists():
        return
    from depthrt.model.golden.replay import allowed_error, golden_of, replay

    golden = golden_of(model)
    if golden is None:
        return
    found = replay(model, golden.frames[0])
    allowed = allowed_error(model, golden)
    if not found.error <= allowed:
        raise AccuracyGateError(f"{wrong(model, found, allowed)}: {_ADVICE.format(model.path)}")
    if note is not None:
        _keep(note, model, found)


_ADVICE = (
    "take another --provider (`depthrt verify {} --provider all` tries each), export it again for "
    f"this machine (--target), or set {VARIABLE}=0 to use it all the same"
)


def wrong(model: Loaded, found: Replayed, allowed: float) -> str:
    """What is wrong with the depth of a golden frame."""
    where = f"provider {model.provider} gives wrong depth for {model.path} on this machine"
    if found.failure:
        return f"{where} ({found.failure})"
    return (
        f"{where} (golden frame {found.label} is {found.error:.3f} of its spread from the depth "
        f"that was proven, allowed {allowed:g})"
    )


def _note(model: Loaded) -> Path | None:
    """Where it is noted that this was checked; None where no note can be kept."""
    numbers = asdict(replace(model.options, threads=None, spinning=False, parallel=1))
    try:
        file = model.path.stat()
        facts = [
            file.st_ino,
            file.st_size,
            file.st_mtime_ns,
            machine_key(import_onnxruntime()),
            numbers,
        ]
        name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
        return user_cache("verified") / f"{name}.json"
    except (OSError, RuntimeError):  # RuntimeError: no home folder
        return None


def _keep(note: Path, model: Loaded, found: Replayed) -> None:
    """Write the note. A cache that cannot be written means a check at every start."""
    from depthrt.files.json_file import write_json

    content = {"model": model.spec.name, "options": model.options.line(), "error": found.error}
    with suppress(OSError, DepthrtError):
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, content, overwrite=True)

"""Model files by their hash, in a folder of this machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from depthrt.errors import WriteError
from depthrt.files.atomic_write import new_file
from depthrt.files.file_hash import file_sha256


def kept_file(sha256: str, content: Callable[[], bytes]) -> Path:
    """The file of this hash; it is written where it is not there, or is not whole.

    Args:
        sha256: of the file.
        content: gives its bytes.

    Raises:
        WriteError: it cannot be kept.
    """
    folder = Path(tempfile.gettempdir()) / f"depthrt-models-{os.getuid()}"
    path = folder / f"{sha256}.onnx"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise WriteError(f"{folder} belongs to somebody else")
        if path.is_file() and file_sha256(path) == sha256:
            return path
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"{path} cannot be kept ({error.strerror or error})") from error
    with new_file(path, overwrite=True) as place:
        place.write_bytes(content())
    return path

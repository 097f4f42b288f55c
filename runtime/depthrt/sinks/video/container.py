"""Opening and closing video files with PyAV; whatever fails is a WriteError."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from depthrt.files.atomic_write import FileDraft
from depthrt.sinks.base import write_error

if TYPE_CHECKING:
    from av.container import OutputContainer


def open_container(
    draft: FileDraft, target: Path, form: str, options: dict[str, str] | None = None
) -> OutputContainer:
    """Create the file of a draft and open it for writing.

    Args:
        draft: where the file is written until it is complete.
        target: what errors call it.
        form: FFmpeg's name of the container format.
        options: of FFmpeg's muxer.

    Raises:
        WriteError: it cannot be opened.
    """
    import av

    try:
        path = str(draft.create().absolute())  # absolute: a colon in a name is no protocol
        return av.open(path, "w", format=form, options=options)
    except OSError as error:
        raise write_error(target, error) from error


def write_head(container: OutputContainer) -> None:
    """Write the head of the file.

    Nothing may be written after this has failed: FFmpeg has freed its muxer and would crash.

    Raises:
        WriteError: the file cannot be written.
    """
    import av

    try:
        container.start_encoding()
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error


def close_container(container: OutputContainer) -> None:
    """Write the end of the file and close it.

    Raises:
        WriteError: the file cannot be written.
    """
    import av

    try:
        container.close()
    except (OSError, av.error.FFmpegError) as error:
        raise write_error(container.name, error) from error

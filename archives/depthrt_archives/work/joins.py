"""Putting the parts of an output together, in order."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthrt.errors import WriteError
from depthrt.files.atomic_folder import FolderDraft
from depthrt.files.atomic_write import FileDraft
from depthrt.files.json_file import read_object
from depthrt.model.depth_model import DepthModel
from depthrt.result import Result
from depthrt.sinks.base import write_error
from depthrt.sinks.depth.codes import TAG_PREFIX
from depthrt.sinks.depth.npz import NpzSink
from depthrt.sinks.frame_folder import DEPTH_FOLDER, FOLDERS, INDEX_FILE
from depthrt.sinks.video.audio import Sound
from depthrt.sinks.video.container import close_container, open_container, write_head
from depthrt.sinks.video.mkv import add_stream
from depthrt.sinks.video.mp4 import MUXER
from depthrt.sources.base import SourceInfo
from depthrt_archives.tasks import BatchOptions
from depthrt_archives.work.memory import Unpickler

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer

_INDEX_OWN = ("frames", "files", "format", "checksum")


@dataclass(frozen=True)
class FinishedPart:
    """A part of an output; ``origin_s``: the time of its first result, in seconds."""

    path: Path
    origin_s: Fraction


def join(
    parts: Sequence[FinishedPart],
    target: Path,
    options: BatchOptions,
    model: DepthModel,
    info: SourceInfo,
) -> None:
    """Write an output from its parts.

    Args:
        parts: in order; not empty.
        target: a new file or folder.
        options: say what is written.
        model: gives the depth.
        info: of the whole video.

    Raises:
        WriteError: it cannot be written.
    """
    paths = [part.path for part in parts]
    if options.form == "mp4":
        _join_mp4(parts, target, info)
    elif options.form == "mkv":
        _join_mkv(paths, target, info)
    elif options.form == "npz":
        _join_npz(paths, target, options, model)
    else:
        _join_folders(paths, target)


def read_results(path: Path, model: DepthModel) -> Iterator[Result]:
    """The results of a part that holds them as they are."""
    with path.open("rb") as file:
        while True:
            try:
                yield Unpickler(file, model).load()
            except EOFError:
                return


def _join_npz(
    parts: Sequence[Path], target: Path, options: BatchOptions, model: DepthModel
) -> None:
    sink = NpzSink(target, model.spec, options.size, overwrite=True)
    try:
        for part in parts:
            for result in read_results(part, model):
                sink.write(result)
        sink.close(complete=True)
    except (OSError, pickle.UnpicklingError) as error:
        sink.close(complete=False)
        if isinstance(error, WriteError):
            raise
        raise write_error(target, error) from error


def _join_folders(parts: Sequence[Path], target: Path) -> None:
    draft = FolderDraft(target, DEPTH_FOLDER, FOLDERS, overwrite=True)
    try:
        draft.create()
        about: dict[str, object] = {}
        entries: list[object] = []
        for part in parts:
            index = dict(read_object(part / INDEX_FILE, WriteError).content)
            about = about or {k: v for k, v in index.items() if k not in _INDEX_OWN}
            for entry in index["frames"]:
                draft.write(entry["file"], (part / entry["file"]).read_bytes())
                size = entry.get("image_size", index["image_size"])
                other = {} if size == about["image_size"] else {"image_size": size}
                entry.pop("image_size", None)
                entries.append({**entry, **other})
        draft.finish({**about, "frames": entries})
    except OSError as error:
        draft.discard()
        raise write_error(target, error) from error
    draft.place()


def _join_mp4(parts: Sequence[FinishedPart], target: Path, info: SourceInfo) -> None:
    """Copy the packets of all parts, and the sound beside them as the sink of a run does."""
    import av

    with _new_container(target, "mp4", MUXER) as container, ExitStack() as stack:
        with av.open(str(parts[0].path.absolute())) as first:
            template = first.streams.video[0]
            base_s = Fraction(template.time_base or info.time_base_s)
            stream = container.add_stream_from_template(template)
            stream.time_base = base_s
        sound = None if info.sound is None else Sound(info.sound, container, Fraction(0))
        if sound is not None:
            stack.callback(sound.close)
        write_head(container)
        for part in parts:
            begin_s = round(part.origin_s / info.time_base_s) * info.time_base_s
            shift = round(begin_s / base_s)
            for packet in _packets(part.path):
                packet.pts, packet.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
                packet.stream = stream
                container.mux(packet)
                if sound is not None and sound.is_there:
                    for heard in sound.until(packet.pts * base_s):
                        container.mux(heard)
        if sound is not None and sound.is_there:
            for heard in sound.until(None):
                container.mux(heard)


def _join_mkv(parts: Sequence[Path], target: Path, info: SourceInfo) -> None:
    """Copy the packets of all parts."""
    import av

    with _new_container(target, "matroska", None) as container:
        with av.open(str(parts[0].absolute())) as first:
            picture = first.streams.video[0]
            stream = add_stream(container, info, (picture.height, picture.width))
            aspect = picture.sample_aspect_ratio
            if aspect is not None and aspect != 1:
                stream.codec_context.sample_aspect_ratio = aspect
            tags = {k: v for k, v in first.metadata.items() if k.startswith(TAG_PREFIX)}
            container.metadata.update(tags)
        write_head(container)
        for part in parts:
            for packet in _packets(part):
                packet.stream = stream
                container.mux(packet)


@contextmanager
def _new_container(
    target: Path, form: str, options: dict[str, str] | None
) -> Iterator[OutputContainer]:
    """A container that is placed at the end of the block; an error leaves nothing of it."""
    import av

    draft = FileDraft(target, overwrite=True)
    try:
        container = open_container(draft, target, form, options)
        try:
            yield container
        finally:
            close_container(container)
    except BaseException as error:
        draft.discard()
        if isinstance(error, av.error.FFmpegError) and not isinstance(error, WriteError):
            raise write_error(target, error) from error
        raise
    draft.place()


def _packets(part: Path) -> Iterator[Packet[Any]]:
    import av

    with av.open(str(part.absolute())) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet

"""The part of an output that one segment writes.

A part ends where the output's encoder begins anew by itself, so that parts in a row are what one
encoder would have written. Results after that are pending: the next part begins with them.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import IO

from depthrt.errors import WriteError
from depthrt.model.depth_model import DepthModel
from depthrt.result import Result
from depthrt.sinks.base import Sink, SinkWarnings, write_error
from depthrt.sinks.depth.codes import DepthCodes
from depthrt.sinks.depth.png_folder import PngFolderSink
from depthrt.sinks.frame_folder import INDEX_FILE
from depthrt.sinks.video.mkv import KEY_FRAME_EVERY, MkvSink
from depthrt.sinks.video.mp4 import Mp4Sink, key_frame_interval
from depthrt.sources.base import Selection, SourceInfo
from depthrt_archives.tasks import BatchOptions
from depthrt_archives.work.memory import Pickler

MOST_PENDING_BYTES = 1 << 28  # of pictures that wait for the next part
_CHUNK_BYTES = 1 << 20
_LATER = Selection(start_s=1.0)  # what an output says that does not begin at time 0


class ResultFile(Sink):
    """Results as they are, for an output that can take them one by one later.

    Args:
        target: a new file.
        model: gives the depth.
    """

    def __init__(self, target: Path, model: DepthModel) -> None:
        self._target, self._model = target, model
        self._file: IO[bytes] | None = None

    def write(self, result: Result) -> bool:
        """Append a result."""
        try:
            if self._file is None:
                self._file = self._target.open("wb")
            Pickler(self._file, self._model).dump(result)
        except OSError as error:
            raise write_error(self._target, error) from error
        return True

    def close(self, *, complete: bool, cut_short: bool = False) -> Path | None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise write_error(self._target, error) from error
        return self._target

    def warnings(self) -> SinkWarnings:
        """None."""
        return SinkWarnings()


def open_mp4(target: Path, info: SourceInfo, options: BatchOptions) -> Mp4Sink:
    """A video whose pictures do not depend on the cores of the machine."""
    return Mp4Sink(target, info, options.view, options.colormap, overwrite=True, threads=1)


def alignment(options: BatchOptions, info: SourceInfo) -> int:
    """Results that a part holds a multiple of."""
    if options.form == "mp4":
        return key_frame_interval(info)
    return KEY_FRAME_EVERY if options.form == "mkv" else 1


def pending_bytes(options: BatchOptions, info: SourceInfo) -> int:
    """Memory that the pictures of pending results may take."""
    if options.view == "depth" or options.form != "mp4":
        return 0
    height, width = info.size
    return alignment(options, info) * height * width * 3 // 2


class Part:
    """Writes the part of one segment.

    Args:
        target: file or folder of the part.
        options: say what is written.
        info: of the whole video.
        model: gives the depth.
        codes: scale of 16-bit depth; None: the first result decides.
        pending: results that the part begins with.
    """

    def __init__(
        self,
        target: Path,
        options: BatchOptions,
        info: SourceInfo,
        model: DepthModel,
        codes: DepthCodes | None,
        pending: Sequence[Result],
    ) -> None:
        self.target, self.codes = target, codes
        self.origin_s = Fraction(0)  # time of the first result in it, in seconds
        self._options, self._info, self._model = options, info, model
        self._align = alignment(options, info)
        self._written, self._group = 0, deque[Result]()
        self._sink: Sink | None = None
        for result in pending:
            self.write(result)

    def write(self, result: Result) -> None:
        """Take the next result."""
        self._group.append(result)
        if len(self._group) == self._align:
            self._flush()

    def end(self, *, last: bool) -> tuple[Result, ...]:
        """End the part.

        Args:
            last: no other part follows.

        Returns:
            The results that the next part begins with.
        """
        if last:
            self._flush()
        if self._sink is not None:
            self._sink.close(complete=True)
        return tuple(self._group)

    def discard(self) -> None:
        """Leave nothing of the part."""
        if self._sink is not None:
            self._sink.close(complete=False)
            self._sink = None

    def warnings(self) -> SinkWarnings:
        """What whoever uses the output should know."""
        return SinkWarnings() if self._sink is None else self._sink.warnings()

    def _flush(self) -> None:
        while self._group:
            result = self._group.popleft()
            if self._sink is None:
                self._sink = self._open(result)
            self._sink.write(result)

    def _open(self, first: Result) -> Sink:
        options, spec = self._options, self._model.spec
        if options.form == "mp4":
            # Its times count from its own beginning: MP4 rounds those of a later one.
            self.origin_s = first.frame.exact_time_s
            own = replace(self._info, sound=None, selection=_LATER)
            return open_mp4(self.target, own, options)
        if options.form == "npz":
            return ResultFile(self.target, self._model)
        if self.codes is None:
            self.codes = DepthCodes.choose(spec, first.depth.known_values)
        if options.form == "mkv":
            return MkvSink(
                self.target, self._info, spec, options.size, overwrite=True, codes=self.codes
            )
        return PngFolderSink(self.target, spec, options.size, overwrite=True, codes=self.codes)


def part_crc(path: Path) -> int:
    """CRC-32 of a part; of a folder that of its index, which has those of its files.

    Raises:
        WriteError: it is not there.
    """
    file = path / INDEX_FILE if path.is_dir() else path
    crc = 0
    try:
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK_BYTES):
                crc = zlib.crc32(chunk, crc)
    except OSError as error:
        raise WriteError(f"{path} cannot be read ({error.strerror})") from error
    return crc

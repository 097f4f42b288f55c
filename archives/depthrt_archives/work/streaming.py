"""Running a source through the pipeline of ``depthrt run``, into a sink."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from depthrt.errors import SourceError
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.pipeline.gap_batch import GapChain
from depthrt.pipeline.options import StreamOptions
from depthrt.pipeline.scheduling.scheduler import Scheduler
from depthrt.pipeline.stream_state import End, StreamState
from depthrt.result import Result, Stats
from depthrt.sinks.base import Sink
from depthrt.sinks.open import Output, check_size, open_sink
from depthrt.sources.base import Selection, Source
from depthrt.sources.open import open_source
from depthrt_archives.tasks import BatchOptions
from depthrt_archives.work.parts import open_mp4


@dataclass(frozen=True)
class Facts:
    """What is to be said of an output.

    - ``notes``: what was chosen or assumed, in sentences;
    - ``lost``: what could not be read, in words;
    - ``clamped``: values outside the 16-bit range.
    """

    frames: int
    notes: tuple[str, ...] = ()
    lost: str = ""
    clamped: int = 0
    segments: int = 1


def stream_options(options: BatchOptions) -> StreamOptions:
    """How frames are taken. One frame an inference, so that depth depends on no other."""
    return StreamOptions(
        batch=1,
        stabilise=options.is_stabilised,
        reuse=options.reuse,
        pictures=options.view != "depth",
        keyframes=options.keyframes,
    )


def run_frames(
    source: Source,
    model: DepthModel,
    options: StreamOptions,
    write: Callable[[Result], object],
    make: Callable[[Stats], StreamPostprocessor] | None = None,
    gaps: GapChain | None = None,
) -> int:
    """Give every frame of a source its depth.

    Args:
        source: is closed at the end.
        model: gives the depth.
        options: how frames are taken.
        write: takes the results in order.
        make: gives what post-processes them; None: what begins anew.
        gaps: with keyframes, what the first gap goes on from; None: it begins anew.

    Returns:
        How many frames there were.

    Raises:
        Exception: whatever the source, the model or ``write`` raised.
    """
    state = StreamState(source.info.name, source, Stats())
    own: Mapping[str, StreamPostprocessor] = {} if make is None else {state.name: make(state.stats)}
    chains = {} if gaps is None else {state.name: gaps}
    frames = 0
    with closing(Scheduler([state], model, options, own, chains)) as scheduler:
        for event in scheduler:
            if not isinstance(event, End):
                write(event)
                frames += 1
            elif event.error is not None:
                raise event.error
    return frames


def run_whole(path: Path, target: Output, options: BatchOptions, model: DepthModel) -> Facts:
    """Write the output of all of a source, as ``depthrt run`` does.

    Raises:
        DepthrtError: of any stage; nothing is left then.
    """
    source = open_source(path, Selection())
    try:
        if source.info.live:
            raise SourceError(f"{source.info.name} has no end: depthrt run takes it")
        check_size(target, source.info, options.view, options.size)
        sink: Sink
        if target.suffix == ".mp4":
            sink = open_mp4(target.path, source.info, options)
        else:
            sink = open_sink(
                target,
                source.info,
                model.spec,
                options.view,
                options.colormap,
                size=options.size,
                overwrite=True,
            )
    except BaseException:
        source.close()
        raise
    try:
        frames = run_frames(source, model, stream_options(options), sink.write)
        if not frames:
            raise SourceError(f"{source.info.name} has no frame")
        sink.close(complete=True)
    except BaseException:
        sink.close(complete=False)
        raise
    warnings = sink.warnings()
    notes = (*source.info.notes, *([warnings.assumed] if warnings.assumed else []))
    return Facts(frames, notes, source.losses.sentence(), warnings.clamped)

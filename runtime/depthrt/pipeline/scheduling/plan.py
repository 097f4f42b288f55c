"""What is set up once for a run: how many inferences at a time, the batches, the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.pipeline.frame_queue import FrameQueue
from depthrt.pipeline.gap_batch import GapChain
from depthrt.pipeline.ladder.model_ladder import Ladder, LadderMeter
from depthrt.pipeline.live_keyframes import LiveKeyframes
from depthrt.pipeline.options import StreamOptions, default_batch
from depthrt.pipeline.stream_state import FrameReader, StreamState


@dataclass(frozen=True, eq=False)
class Plan:
    """How the frames of streams become results.

    - ``live``: whether one of the streams is live;
    - ``parallel``: inferences that run at a time at most; ``batch``: frames in each at most;
    - ``queue``: the frames that wait for the network;
    - ``readers``, ``postprocessors``: of each stream, by its name;
    - ``meter``: tells a ladder of models how busy it is; None with one model;
    - ``chains``: of recordings with keyframes, by stream; else empty;
    - ``behind``: of live streams with keyframes; else None.
    """

    live: bool
    parallel: int
    batch: int
    queue: FrameQueue
    readers: Mapping[str, FrameReader]
    postprocessors: Mapping[str, StreamPostprocessor]
    meter: LadderMeter | None
    chains: Mapping[str, GapChain]
    behind: LiveKeyframes | None

    @classmethod
    def of(
        cls, streams: Mapping[str, StreamState], model: DepthModel | Ladder, options: StreamOptions
    ) -> Plan:
        """The plan for streams by name.

        Raises:
            UsageError: keyframes are asked for, and some of the streams are live, but not all.
        """
        first = model.model if isinstance(model, Ladder) else model
        keyframes = options.keyframes
        infos = [stream.source.info for stream in streams.values()]
        live = any(info.live for info in infos)
        meter = LadderMeter(model) if isinstance(model, Ladder) else None
        parallel = 1 if meter else first.parallel
        batch = options.batch or default_batch(first, len(streams), live=live)
        chains: dict[str, GapChain] = {}
        behind: LiveKeyframes | None = None
        if keyframes is not None and live:
            behind = LiveKeyframes(streams, keyframes, parallel)
        elif keyframes is not None:  # a batch is so many gaps, and the network sees a few frames
            batch *= keyframes.most
            chains = {name: GapChain(keyframes) for name in streams}
        queue = FrameQueue(
            [*streams.values()],
            options.frames_ahead(infos, batch, parallel),
            batch,
            options.batch_wait_s(infos),
            options.limits,
            alone=bool(chains),
        )
        rate, pictures = options.limits.max_rate, options.pictures
        readers = {
            name: FrameReader(stream, model, rate, pictures=pictures)
            for name, stream in streams.items()
        }
        postprocessors = {
            name: StreamPostprocessor.of(name, stream.stats, options)
            for name, stream in streams.items()
        }
        return cls(live, parallel, batch, queue, readers, postprocessors, meter, chains, behind)

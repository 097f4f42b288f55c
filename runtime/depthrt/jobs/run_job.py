"""What `depthrt run` is to do, and with which model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.jobs.monitoring import Metrics
from depthrt.jobs.process_priority import prefer_throughput
from depthrt.jobs.shared_outputs import SharedOutputs
from depthrt.model.catalogue.registry import built_in_models
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.ladder.model_ladder import Ladder, build_ladder, model_files
from depthrt.render.point_cloud import CloudOptions
from depthrt.render.views import View
from depthrt.sinks.depth.codes import MapSize
from depthrt.sinks.open import Output
from depthrt.sinks.pipe import PipeFormat
from depthrt.sources.base import Selection
from depthrt.sources.live.live_limits import LiveLimits
from depthrt.system.process_settings import in_own_process
from depthrt.temporal.frame_reuse import Reuse
from depthrt.temporal.keyframes import Keyframes

_PICTURE_SUFFIXES = (".mp4", ".png", ".jpg", ".jpeg")  # outputs to look at
_MAP_PIPES = ("gray16le", "grayf32le")
_ONE_SIZE_SUFFIXES = (".npz", ".mkv")  # outputs whose depth maps must all be of one size


@dataclass(frozen=True)
class Job:
    """What is to be run; ``depthrt run --help`` explains most fields.

    - ``output``: a file, or a folder for one frame each; with several sources, the folder for the
      output of each; a path is read as :meth:`Output.of` does;
    - ``pipe``: the format of frames on standard output; None if there are none;
    - ``points``: folders hold point clouds, not 16-bit PNG;
    - ``size``: of depth maps that are written: the network's, or the picture's;
    - ``cloud``: how points are computed;
    - ``shared``: the outputs that all sources share;
    - ``ladder``: several models, of which one is chosen at a time to hold ``target_fps``;
    - ``stabilise``: take the flicker out of the depth; None: only if depth is just looked at;
    - ``metrics``: what is watched.
    """

    source: str = ""
    output: Output | Path | None = None
    model: str | None = None
    selection: Selection = field(default_factory=Selection)
    view: View = "depth"
    colormap: str = "inferno"
    show: bool = False
    provider: str = "auto"
    threads: int | None = None
    batch: int | None = None
    wait_s: float | None = None
    overwrite: bool = False
    limits: LiveLimits = field(default_factory=LiveLimits)
    pipe: PipeFormat | None = None
    points: bool = False
    size: MapSize = "network"
    cloud: CloudOptions = field(default_factory=CloudOptions)
    shared: SharedOutputs = field(default_factory=SharedOutputs)
    ladder: tuple[str, ...] = ()
    target_fps: float | None = None
    stabilise: bool | None = None
    reuse: Reuse | None = None
    keyframes: Keyframes | None = None
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def target(self) -> Output | None:
        """The output, if one was given."""
        return Output.of(self.output) if isinstance(self.output, Path) else self.output

    @property
    def needs_output(self) -> bool:
        """Whether depth would go nowhere, unless an output file is chosen by default."""
        return self.output is None and not (self.show or self.pipe or self.shared.is_asked_for)

    @property
    def takes_standard_output(self) -> bool:
        """Whether frames or JSON lines are written to standard output."""
        return self.pipe is not None or self.shared.takes_standard_output

    @property
    def model_paths(self) -> list[Path]:
        """The models that are named, as paths; a built-in name is no file."""
        return [Path(name) for name in {self.model, *self.ladder} if name]

    def is_stabilised(self, outputs: Sequence[Output | None]) -> bool:
        """Whether flicker is taken out of the depth.

        Unless it was asked for, that is so only if depth is just looked at. Depth to compute with
        stays what the model gave: 16-bit and float files and pipes, point clouds, JSON lines.
        """
        if self.stabilise is not None:
            return self.stabilise
        if self.points or self.shared.jsonl is not None or self.pipe in _MAP_PIPES:
            return False
        return all(each is None or each.suffix in _PICTURE_SUFFIXES for each in outputs)

    def needs_pictures(self, outputs: Sequence[Output | None]) -> bool:
        """Whether an output shows the source's picture beside its depth, or takes its colours."""
        is_cloud = any(each is not None and each.suffix == ".ply" for each in outputs)
        return is_cloud or self.points or self.view != "depth" or self.shared.preview is not None

    def is_paced(self, outputs: Sequence[Output | None], *, live: bool) -> bool:
        """Whether frames are shown no faster than recorded: if a recording is just looked at."""
        return not (live or any(outputs) or self.pipe or self.shared.jsonl)

    def check_size(self, outputs: Sequence[Output | None]) -> None:
        """Refuse a size of depth maps where none are written.

        Raises:
            UsageError: only pictures, points or JSON lines are.
        """
        suffixes = _ONE_SIZE_SUFFIXES if self.points else (*_ONE_SIZE_SUFFIXES, "")
        in_files = any(each is not None and each.suffix in suffixes for each in outputs)
        if self.size != "network" and not in_files and self.pipe not in _MAP_PIPES:
            raise UsageError(
                f"--size {self.size} is for depth maps: write .mkv, .npz or a folder of PNG, or "
                "-o - with --format gray16le or grayf32le; pictures have the source's size anyway"
            )

    def check_limits(self, *, live: bool) -> None:
        """Refuse limits of live sources if there is none.

        Raises:
            UsageError: there is none.
        """
        given = (("--max-latency", self.limits.max_latency_s), ("--fps", self.limits.max_rate))
        for option, value in given:
            if value is not None and not live:
                raise UsageError(
                    f"{option} limits live sources, and there is none: a recording keeps every "
                    "frame (--stride takes every n-th)"
                )


def load_model(job: Job, *, fast: bool) -> DepthModel:
    """The model of a job.

    Args:
        job: names it.
        fast: run one frame at a time with the least latency; else most frames a second.

    Raises:
        DepthrtError: it cannot be used.
    """
    if not fast:
        in_own_process(prefer_throughput)
    return DepthModel.load(
        job.model,
        provider=job.provider,
        threads=job.threads,
        objective="live" if fast else "throughput",
    )


def load_ladder(
    job: Job, outputs: Sequence[Output | None], tell: Callable[[str], None]
) -> Ladder | None:
    """The models that hold the rate of a job; None if it has no target rate.

    Args:
        job: names the models.
        outputs: of all sources.
        tell: called with a sentence whenever another model is chosen.

    Raises:
        UsageError: there is only one model, the models do not fit together, or an output cannot
            hold depth maps of several sizes.
    """
    if job.target_fps is None:
        if len(job.ladder) > 1:
            raise UsageError(
                "several -m are steps to hold a rate with: give --target-fps, or one of them"
            )
        return None
    names = model_files(job.ladder) or [*built_in_models()]
    models = [load_model(replace(job, model=name), fast=True) for name in names]
    ladder = build_ladder(models, job.target_fps, tell)
    is_one_size = ladder.one_size or job.size == "source"
    for output in outputs:
        if output is not None and output.suffix in _ONE_SIZE_SUFFIXES and not is_one_size:
            raise UsageError(
                f"{output.path.name} holds depth maps of one size, and --target-fps changes it: "
                "write .mp4 or a folder of PNG, or take --size source"
            )
    return ladder

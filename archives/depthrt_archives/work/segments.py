"""The segments of one long video: run in order, or ahead, and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from depthrt.errors import WriteError
from depthrt.files.atomic_write import new_file
from depthrt.model.depth_model import DepthModel
from depthrt.pipeline.batch import StreamPostprocessor
from depthrt.pipeline.gap_batch import GapChain
from depthrt.result import Result, Stats
from depthrt.sources.base import Selection
from depthrt.sources.video import VideoSource
from depthrt_archives.record.work_folder import ItemFolder, Plan
from depthrt_archives.tasks import BatchOptions, Outcome, SegmentDone, Split, StartOver
from depthrt_archives.work.ahead import (
    AheadEnd,
    BrokenAhead,
    Recorder,
    read_ahead,
    write_end,
)
from depthrt_archives.work.joins import FinishedPart, join
from depthrt_archives.work.memory import Memory, load_memory, save_memory
from depthrt_archives.work.parts import Part, part_crc
from depthrt_archives.work.segment_source import Groups, Mark, SegmentSource, follows
from depthrt_archives.work.streaming import Facts, run_frames, stream_options

_SUFFIXES = {"mp4": ".mp4", "mkv": ".mkv", "npz": ".results", "png": ""}


class Segments:
    """Does the segments of videos.

    Args:
        options: what is written, and how.
        model: gives the depth.
    """

    def __init__(self, options: BatchOptions, model: DepthModel) -> None:
        self._options, self._model = options, model
        self._suffix = _SUFFIXES[options.form]

    def resumed(self, folder: ItemFolder, plan: Plan) -> Split:
        """What is done of a video already."""
        count = len(plan.seams) + 1
        done = 0
        # The last segment counts as not done: what ends with it is the join.
        while done < count - 1 and folder.memory(done).is_file():
            done += 1
        ahead = {k for k in range(done, count) if folder.ahead(k).is_file()}
        return Split(count, done, frozenset(ahead))

    def ahead(self, folder: ItemFolder, plan: Plan, path: Path, segment: int) -> Outcome:
        """Run the network for a segment whose beginning is not known yet."""
        if folder.ahead(segment).is_file():
            return SegmentDone(0)
        source = SegmentSource(path, *plan.bounds(segment))
        options = replace(stream_options(self._options), stabilise=False, pictures=False)
        with new_file(folder.ahead(segment), overwrite=True) as place, place.open("wb") as file:
            run_frames(
                source, self._model, options, _ignore, lambda stats: Recorder(stats, file=file)
            )
            lost = source.losses.sentence()
            write_end(file, AheadEnd(tuple(source.first), tuple(source.beyond), lost), self._model)
        return SegmentDone(0)

    def run(self, folder: ItemFolder, plan: Plan, path: Path, segment: int) -> Outcome:
        """Do the next segment, from where the one before it ended."""
        done = load_memory(folder.memory(segment), self._model)
        if done is not None and self._part_is_whole(folder, segment, done):
            return SegmentDone(0)
        before = None
        if segment:
            before = load_memory(folder.memory(segment - 1), self._model)
            if before is None:
                folder.discard()
                return StartOver("what a segment handed over is gone")
        steps = _Steps(self._options, self._model, before)
        with closing(VideoSource(str(path), Selection())) as video:
            info = video.info
        part = Part(
            folder.part(segment, self._suffix),
            self._options,
            info,
            self._model,
            steps.codes,
            steps.pending,
        )
        last = segment == len(plan.seams)
        try:
            try:
                frames = self._frames(folder, plan, path, segment, steps, part.write)
            except BrokenAhead:
                folder.ahead(segment).unlink(missing_ok=True)
                part.discard()
                return StartOver("what was computed ahead was not whole")
            if before is not None and not follows(before.beyond, steps.first):
                part.discard()
                note = f"it is not cut: what comes at {float(plan.seams[segment - 1]):.3f} s "
                folder.discard()
                note += "cannot be decoded alone"
                folder.write_plan(replace(plan, seams=(), notes=(*plan.notes, note)))
                return StartOver(note)
            pending = part.end(last=last)
        except BaseException:
            part.discard()
            raise
        crc = part_crc(part.target) if part.target.exists() else 0
        memory = replace(
            steps.memory(),
            pending=pending,
            codes=part.codes,
            part=crc,
            origin_s=part.origin_s,
            clamped=part.warnings().clamped,
        )
        save_memory(folder.memory(segment), memory, self._model)
        folder.ahead(segment).unlink(missing_ok=True)
        return SegmentDone(frames)

    def join(self, folder: ItemFolder, plan: Plan, path: Path) -> tuple[Path, Facts]:
        """Put the parts together, once all segments are done."""
        suffix = f".{self._options.form}" if self._options.form != "png" else ""
        target = folder.whole.with_suffix(suffix)
        count = len(plan.seams) + 1
        parts: list[FinishedPart] = []
        known: list[Memory] = []
        for k in range(count):
            memory = load_memory(folder.memory(k), self._model)
            if memory is None or not self._part_is_whole(folder, k, memory):
                raise WriteError(f"{folder.path} was changed: give the same command again")
            known.append(memory)
            if memory.part:
                parts.append(FinishedPart(folder.part(k, self._suffix), memory.origin_s))
        with closing(VideoSource(str(path), Selection())) as video:
            info = video.info
        join(parts, target, self._options, self._model, info)
        notes = info.notes
        lost = ", ".join(said for memory in known for said in memory.lost)
        facts = Facts(known[-1].next_index, notes, lost, sum(m.clamped for m in known), count)
        return target, facts

    def _part_is_whole(self, folder: ItemFolder, segment: int, memory: Memory) -> bool:
        part = folder.part(segment, self._suffix)
        return (part_crc(part) if part.exists() else 0) == memory.part

    def _frames(
        self,
        folder: ItemFolder,
        plan: Plan,
        path: Path,
        segment: int,
        steps: _Steps,
        write: Callable[[Result], None],
    ) -> int:
        """Give the frames of a segment their depth, and write the results."""
        ahead = folder.ahead(segment)
        if not ahead.is_file():
            source = SegmentSource(path, *plan.bounds(segment), steps.groups, steps.taken)

            def numbered(result: Result) -> None:
                write(steps.numbered(result))

            frames = run_frames(
                source, self._model, stream_options(self._options), numbered,
                steps.postprocessor, steps.gaps,
            )  # fmt: skip
            steps.end(source.first, source.beyond, source.losses.sentence(), source.taken_beyond)
            return frames
        postprocessor = steps.postprocessor(Stats())
        frames = 0
        for entry in read_ahead(ahead, self._model):
            if isinstance(entry, AheadEnd):
                steps.end(entry.first, entry.beyond, entry.lost)
                break
            result = postprocessor.result(entry.frame, entry.pixels, entry.estimate, self._model)
            write(steps.numbered(result))
            frames += 1
        return frames


class _Steps:
    """What is handed over, from the segment before to the one after.

    With keyframes a segment ends with a gap: it takes the frames beyond its end that belong to it.

    Args:
        options: what is written, and how.
        model: gives the depth.
        before: the memory of the segment before; None at the beginning.
    """

    def __init__(self, options: BatchOptions, model: DepthModel, before: Memory | None) -> None:
        self._options, self._model, self._before = options, model, before
        self.codes = None if before is None else before.codes
        self.pending = () if before is None else before.pending
        self.taken = 0 if before is None else before.taken
        self.groups: Groups | None = None
        self.gaps = None if before is None else before.gaps
        keyframes = options.keyframes
        if keyframes is not None:
            self.groups = Groups(keyframes.most, model.spec.input)
            self.gaps = self.gaps or GapChain(keyframes)
        self._next_index = 0 if before is None else before.next_index
        self._postprocessor: StreamPostprocessor | None = None
        self.first: list[Mark] = []
        self._beyond: list[Mark] = []
        self._lost: tuple[str, ...] = ()
        self._taken_beyond = 0

    def postprocessor(self, stats: Stats) -> StreamPostprocessor:
        """What goes on with the results of the stream."""
        if self._before is None:
            made = StreamPostprocessor.of("", stats, stream_options(self._options))
        else:
            made = self._before.postprocessor
            made.stats = stats
        self._postprocessor = made
        return made

    def numbered(self, result: Result) -> Result:
        """The result with the number of its frame in the whole video."""
        frame = replace(result.frame, index=self._next_index)
        self._next_index += 1
        return replace(result, frame=frame)

    def end(
        self, first: Sequence[Mark], beyond: Sequence[Mark], lost: str, taken_beyond: int = 0
    ) -> None:
        """Note what the source of the segment said at its end."""
        self._taken_beyond = taken_beyond
        self.first, self._beyond = list(first), list(beyond)
        self._lost = (lost,) if lost else ()

    def memory(self) -> Memory:
        """What the next segment begins with, but for what the part leaves."""
        if self._postprocessor is None:
            raise RuntimeError("a segment without frames hands over nothing")
        return Memory(
            self._postprocessor, self._next_index, (), tuple(self._beyond), self._taken_beyond,
            self.gaps, lost=self._lost,
        )  # fmt: skip


def _ignore(result: Result) -> None:
    """The results of a run ahead were written by what made them."""

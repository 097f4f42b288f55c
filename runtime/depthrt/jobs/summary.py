"""The summary of a run, as one line and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from depthrt.result import Stats


@dataclass(frozen=True)
class Summary:
    """What a run did with one source.

    - ``output``: the file or folder; None if there is none, or nothing could be written;
    - ``stage_ms``: how long each stage was busy, per frame;
    - ``dropped``: frames of a live source for which there was no time;
    - ``late``: those among them that were older than ``--max-latency``;
    - ``latency_ms``: p50, p95, p99 and worst from capture to result; None for recordings;
    - ``gaps_s``: how long a live source was away, each time;
    - ``lost``: what of the source could not be read, in words; else empty;
    - ``clamped``, ``assumed``: see :class:`depthrt.sinks.base.SinkWarnings`;
    - ``notes``: what was chosen, assumed or changed in reading it, in sentences;
    - ``error``: why this source, one of several, ended early; else empty;
    - ``stabilised``: whether flicker was taken out of the depth;
    - ``reused``: frames that had not changed and were not computed; None if that was not asked for;
    - ``keyframes``: how many frames the network saw, and the error of the audited ones; None where
      it saw all;
    - ``ladder``: the models that held a rate, the share of frames of each, and every switch; None
      with one model.
    """

    source: str
    output: str | None
    model: str
    provider: str
    frames: int
    seconds: float
    rate_fps: float
    stage_ms: dict[str, float]
    dropped: int
    scene_cuts: int
    clamped: int
    lost: str
    interrupted: bool
    late: int = 0
    latency_ms: dict[str, float] | None = None
    gaps_s: list[float] = field(default_factory=list)
    error: str = ""
    assumed: str = ""
    notes: list[str] = field(default_factory=list)
    ladder: dict[str, Any] | None = None
    stabilised: bool = False
    reused: int | None = None
    keyframes: dict[str, Any] | None = None

    @property
    def reused_share(self) -> float | None:
        """The share of frames that were not computed, 0..1; None if that was not asked for."""
        return _share(self.reused, self.frames)

    def as_dict(self) -> dict[str, Any]:
        """The summary as a JSON object."""
        return {**asdict(self), "reused_share": self.reused_share}

    def line(self) -> str:
        """The summary in one line."""
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in self.stage_ms.items())
        parts = [
            _rate(self.frames, self.seconds, self.rate_fps),
            f"ms a frame: {stages}",
            f"{_models(self.model, self.ladder)} on {self.provider}",
            *_live_parts(self.latency_ms, self.dropped, self.late),
            *_reused_parts(self.reused_share),
            *_keyframe_parts(self.keyframes),
        ]
        if self.output is not None:
            parts.append(self.output)
        return " | ".join(parts)

    def short_line(self) -> str:
        """The summary in one line, shorter: one of several sources."""
        if self.error and not self.frames:
            return f"{self.source}: failed"
        parts = [
            f"{self.source}: {_rate(self.frames, self.seconds, self.rate_fps)}",
            *_live_parts(self.latency_ms, self.dropped, self.late),
            *_reused_parts(self.reused_share),
            *_keyframe_parts(self.keyframes),
            *(["failed"] if self.error else []),
            *([self.output] if self.output is not None else []),
        ]
        return " | ".join(parts)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what did not go well."""
        found = []
        if self.lost:
            found.append(f"{self.source}: {self.lost}; what could be read was processed")
        if self.gaps_s:
            times = "once" if len(self.gaps_s) == 1 else f"{len(self.gaps_s)} times"
            found.append(
                f"{self.source}: was away {times}, for {sum(self.gaps_s):.1f} s in all, and came "
                "back; its times go on"
            )
        if self.clamped:
            found.append(f"{self.clamped} depth values lay outside the 16-bit range: use .npz")
        if self.assumed:
            found.append(self.assumed)
        if self.interrupted:
            found.append("interrupted; what was done is kept")
        return found

    @property
    def failed(self) -> bool:
        """Whether something that was wanted was not done."""
        return bool(self.lost or self.error)


@dataclass(frozen=True)
class Totals:
    """What a run did with several sources; most fields are those of :class:`Summary`.

    - ``streams``: the summary of each source;
    - ``batch``: frames per inference;
    - ``error``: why an output that they share, as JSON lines, ended early; else empty.
    """

    streams: list[Summary]
    model: str
    provider: str
    batch: int
    frames: int
    seconds: float
    rate_fps: float
    stage_ms: dict[str, float]
    dropped: int
    late: int
    latency_ms: dict[str, float] | None
    interrupted: bool
    ladder: dict[str, Any] | None = None
    reused: int | None = None
    keyframes: dict[str, Any] | None = None
    error: str = ""

    @property
    def reused_share(self) -> float | None:
        """The share of frames that were not computed, 0..1; None if that was not asked for."""
        return _share(self.reused, self.frames)

    def as_dict(self) -> dict[str, Any]:
        """The totals as a JSON object; ``streams`` holds the summary of each source."""
        streams = [each.as_dict() for each in self.streams]
        share = {"reused_share": self.reused_share}
        return {**asdict(self), "streams": streams, **share, "failed": self.failures}

    @property
    def failures(self) -> int:
        """How many sources failed."""
        return sum(bool(each.error) for each in self.streams)

    @property
    def failed(self) -> bool:
        """Whether something that was wanted was not done."""
        return bool(self.error) or any(each.failed for each in self.streams)

    def line(self) -> str:
        """A line for each source, and one for all."""
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in self.stage_ms.items())
        failed = f", {self.failures} failed" if self.failures else ""
        parts = [
            f"{len(self.streams)} stream{'' if len(self.streams) == 1 else 's'}{failed}: "
            + _rate(self.frames, self.seconds, self.rate_fps),
            f"ms a frame: {stages}",
            f"{_models(self.model, self.ladder)} on {self.provider}, batch {self.batch}",
            *_live_parts(self.latency_ms, self.dropped, self.late),
            *_reused_parts(self.reused_share),
            *_keyframe_parts(self.keyframes),
        ]
        return "\n".join([*(each.short_line() for each in self.streams), " | ".join(parts)])

    @property
    def warnings(self) -> list[str]:
        """Sentences on what did not go well, except errors: those were told when they happened."""
        found = []
        for each in self.streams:
            for said in each.warnings:
                found.append(said if said.startswith(each.source) else f"{each.source}: {said}")
        return [*found, *(["interrupted; what was done is kept"] if self.interrupted else [])]


def stage_ms(stats: Stats) -> dict[str, float]:
    """How long each stage was busy, in milliseconds per frame."""
    frames = max(1, stats.frames)
    return {stage: 1e3 * busy_s / frames for stage, busy_s in stats.busy_s.items()}


def keyframe_facts(stats: Stats) -> dict[str, Any]:
    """How many frames the network saw, and how far off the others are by the audited ones.

    Errors are mean |interpolated - inferred| over the depth's 2-98 percentile spread; None without
    an audit. ``keyframe_age_ms`` is of live sources alone: how old the depth was that frames got by
    flow.
    """
    inferred = stats.frames - stats.interpolated - stats.reused
    errors = sorted(stats.audit_errors)
    at_95 = errors[min(len(errors) - 1, int(0.95 * len(errors)))] if errors else None
    return {
        "inferred": inferred,
        "inferred_share": round(inferred / max(1, stats.frames), 4),
        "interpolated": stats.interpolated,
        "audits": len(errors),
        "mean_error": _rounded(sum(errors) / len(errors)) if errors else None,
        "p95_error": _rounded(at_95),
        "worst_error": _rounded(errors[-1]) if errors else None,
        "keyframe_age_ms": stats.keyframe_ages_s.as_ms(),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _keyframe_parts(facts: dict[str, Any] | None) -> list[str]:
    if facts is None:
        return []
    said = f"network on {facts['inferred_share']:.0%} of the frames"
    if facts["interpolated"] and not facts["audits"]:
        said += ", none of the others audited"
    if facts["audits"]:
        said += (
            f", the others off by {facts['mean_error']:.2%} of the spread (worst "
            f"{facts['worst_error']:.2%}; {facts['audits']} audited)"
        )
    if facts["keyframe_age_ms"]:
        said += f", by depth {facts['keyframe_age_ms']['p50']:.0f} ms old"
    return [said]


def _rate(frames: int, seconds: float, rate_fps: float) -> str:
    noun = "frame" if frames == 1 else "frames"
    return f"{frames} {noun} in {seconds:.1f} s ({rate_fps:.1f} frames/s)"


def _models(model: str, ladder: dict[str, Any] | None) -> str:
    """The name of the model, or the share of frames of each of several."""
    if ladder is None:
        return model
    used = [f"{r['share']:.0%} {r['model']}" for r in ladder["rungs"] if r["frames"]]
    count = len(ladder["switches"])
    return f"{', '.join(used)} ({count} switch{'' if count == 1 else 'es'})"


def _live_parts(latency_ms: dict[str, float] | None, dropped: int, late: int) -> list[str]:
    parts = []
    if latency_ms is not None:
        values = ", ".join(f"{name} {ms:.0f}" for name, ms in latency_ms.items())
        parts.append(f"latency ms: {values}")
    if dropped:
        parts.append(f"{dropped} dropped" + (f" ({late} too old)" if late else ""))
    return parts


def _share(part: int | None, frames: int) -> float | None:
    return None if part is None else part / max(1, frames)


def _reused_parts(share: float | None) -> list[str]:
    return [] if share is None else [f"{share:.0%} not computed, unchanged"]

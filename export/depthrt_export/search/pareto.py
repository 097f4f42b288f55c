"""What was measured of a candidate, and which candidates no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from depthrt_export.proof.paired_timing import Paired

FLOAT = "float32"
CPU = "cpu"
_SAME_TIME = 1.05


@dataclass(frozen=True)
class Measured:
    """A candidate and its figures.

    - ``recipe``: its name; ``float_blocks``: blocks left in float; ``provider`` that ran it,
      with the precision it was told to compute in, if any (``openvino, bf16``);
    - ``error``, ``worst``: mean and worst frame of mean |difference| over the float depth's
      2-98 percentile spread, on frames that calibration never saw;
    - ``drop``: relative growth of AbsRel on a labelled set, None without one;
    - ``latency``: beside float32, None where it was not timed;
    - ``refused``: why it cannot be picked, empty if it can.
    """

    recipe: str
    float_blocks: tuple[str, ...] = ()
    error: float | None = None
    worst: float | None = None
    drop: float | None = None
    latency: Paired | None = None
    refused: str = ""
    provider: str = CPU

    @property
    def what(self) -> tuple[str, tuple[str, ...], str]:
        """What the figures are of."""
        return self.recipe, self.float_blocks, self.provider

    @property
    def name(self) -> str:
        """The recipe, how many blocks it spares, and the provider if it is not the CPU's."""
        count = len(self.float_blocks)
        spared = f", {count} block{'s' * (count != 1)} float" if count else ""
        return self.recipe + spared + (f" on {self.provider}" if self.provider != CPU else "")

    @property
    def loss(self) -> float | None:
        """What is held against the allowed drop: accuracy's where it is known, else the error."""
        return self.error if self.drop is None else self.drop

    @property
    def ratio(self) -> float | None:
        """Time over float32's."""
        return None if self.latency is None else self.latency.ratio

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any) -> Measured:
        """What :meth:`to_dict` made.

        Raises:
            ValueError: it did not make this.
        """
        try:
            latency = content["latency"]
            made = cls(
                recipe=content["recipe"],
                float_blocks=tuple(content["float_blocks"]),
                error=content["error"],
                worst=content["worst"],
                drop=content["drop"],
                latency=None if latency is None else Paired(**latency),
                refused=content["refused"],
                provider=content["provider"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError("no candidate of a search") from error
        texts = (made.recipe, made.refused, made.provider, *made.float_blocks)
        figures = [n for n in (made.error, made.worst, made.drop) if n is not None]
        times = () if made.latency is None else tuple(asdict(made.latency).values())
        numbers = all(type(n) in (int, float) for n in (*figures, *times))
        named = all(isinstance(text, str) for text in texts)
        if not numbers or not named or min(times, default=0) < 0:
            raise ValueError("no candidate of a search")
        return made


def float32() -> Measured:
    """The graph that all others are held against."""
    return Measured(FLOAT, error=0.0, worst=0.0, latency=Paired(1.0, 1.0, 1.0, 0.0, 0.0, 0))


def front(candidates: Iterable[Measured]) -> tuple[Measured, ...]:
    """Those than which no other is both faster and more exact, fastest first; with float32."""
    usable = [c for c in (*candidates, float32()) if not c.refused]
    timed = [c for c in usable if c.ratio is not None and c.loss is not None]
    timed.sort(key=lambda c: (c.ratio or 0.0, c.loss or 0.0))
    kept: list[Measured] = []
    for candidate in timed:
        if not kept or (candidate.loss or 0.0) < (kept[-1].loss or 0.0):
            kept.append(candidate)
    return tuple(kept)


def pick(candidates: Sequence[Measured], max_drop: float) -> Measured | None:
    """The fastest that is exact enough and not refused; untimed ones in the order they came.

    Of those within 5% of the fastest, which a timing cannot tell apart, the most exact.
    """
    fitting = [c for c in candidates if not c.refused and fits(c, max_drop)]
    timed = [c for c in fitting if c.ratio is not None]
    if not timed:
        return fitting[0] if fitting else None
    bar = _SAME_TIME * min(c.ratio or 0.0 for c in timed)
    return min((c for c in timed if (c.ratio or 0.0) <= bar), key=lambda c: c.loss or 0.0)


def fits(candidate: Measured, max_drop: float) -> bool:
    """Whether its loss is known and allowed."""
    return candidate.loss is not None and candidate.loss <= max_drop

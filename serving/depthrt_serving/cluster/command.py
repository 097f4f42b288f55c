"""The options of `depthrt serve --engine ray`, and what they start."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import Enum
from typing import Annotated, Any, TypeAlias

import typer

from depthrt.cli.share import parse_share
from depthrt.errors import UsageError
from depthrt.system.installation import install_command
from depthrt_serving.cluster.options import ClusterOptions, Gates, parse_range
from depthrt_serving.settings import Settings

_PANEL = "Cluster (--engine ray)"
OPTIONS = ("address", "replicas", "gpus", "roll", "roll_batches", "roll_difference", "roll_slower")
"""Parameters that are for a cluster alone."""


class EngineName(str, Enum):
    """Where inferences run."""

    local = "local"
    ray = "ray"


def _option(text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=_PANEL, **more)


Engine: TypeAlias = Annotated[
    EngineName, _option("Inferences run here, or in replicas on a Ray cluster.")
]
Address: TypeAlias = Annotated[
    str | None, _option("Of the cluster, as 10.0.0.1:6379 or auto. Default: one on this machine.")
]
Replicas: TypeAlias = Annotated[
    str, _option("Least and most; Ray Serve scales between them.", metavar="N-M")
]
Gpus: TypeAlias = Annotated[float, _option("Of a replica; may be a part of one.", min=0.0)]
Roll: TypeAlias = Annotated[
    str | None,
    _option(
        "Roll a cluster that serves over to MODEL: first this share of the batches, then half, "
        "then all; it is taken back by itself if it is worse.",
        metavar="SHARE",
    ),
]
RollBatches: TypeAlias = Annotated[int, _option("Looked at in each step of --roll.", min=1)]
RollDifference: TypeAlias = Annotated[
    str, _option("Of its depth to the old one's, of the spread, allowed.", metavar="SHARE")
]
RollSlower: TypeAlias = Annotated[
    float, _option("Its p99 of a batch, in the old one's, allowed.", min=1.0)
]


def check_engine(engine: EngineName, given: Collection[str], settings: Settings) -> None:
    """Refuse options that would be ignored.

    Raises:
        UsageError: one of a cluster without one, or the other way round.
    """
    if engine is EngineName.local:
        for name in OPTIONS:
            if name in given:
                raise UsageError(f"--{name.replace('_', '-')} works only with --engine ray")
    elif settings.rollout.canary is not None:
        raise UsageError("--canary works only with --engine local: on a cluster use --roll")


def serve_or_roll(
    settings: Settings,
    address: str | None,
    replicas: str,
    gpus: float,
    roll: str | None,
    gates: tuple[int, str, float],
    tell: Callable[[str], None],
) -> None:
    """Serve on a cluster, or roll one over.

    Raises:
        DepthrtError: whatever is wrong, in one sentence.
    """
    batches, difference, slower = gates
    options = ClusterOptions(
        address,
        parse_range(replicas, "--replicas"),
        float(settings.threads or 1),
        gpus,
        Gates(batches, parse_share(difference, "--roll-difference"), slower),
    )
    share = None if roll is None else parse_share(roll, "--roll")
    try:
        from ray import serve  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--engine ray needs Ray Serve: {install_command('ray')}") from error
    if share is None:
        from depthrt_serving.cluster.front import serve_on_cluster

        serve_on_cluster(settings, options, tell)
        return
    if address is None:
        raise UsageError("--roll is for a cluster that serves: say which by --address")
    from depthrt_serving.cluster.roll import roll as roll_over

    roll_over(settings, options, share, tell)

"""What a client wants of a stream, by the query of its address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from depthrt.cli.share import parse_share
from depthrt.errors import UsageError
from depthrt.temporal.keyframes import Keyframes
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.routes.route import require_known

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
MapFormat = Literal["png", "npy"]


@dataclass(frozen=True)
class StreamWishes:
    """How frames are answered.

    - ``form``: of the maps;
    - ``stabilise``: take the flicker out;
    - ``name``: of the stream, by which it is counted and watched; empty: it has none;
    - ``keyframes``: answer frames by optical flow while the network infers behind them; None: every
      frame waits for the network.
    """

    form: MapFormat = "png"
    stabilise: bool = False
    keyframes: Keyframes | None = None
    name: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> StreamWishes:
        """Those of a query.

        Raises:
            ProblemError: 400, for what there is not.
        """
        require_known(query, ("format", "stabilise", "keyframes", "name"))
        form, keyframes = query.get("format", "png"), query.get("keyframes", "0")
        if form not in get_args(MapFormat):
            raise ProblemError(400, f"format is none of {', '.join(get_args(MapFormat))}")
        try:
            budget = None if keyframes == "0" else Keyframes(parse_share(keyframes, "keyframes"))
        except UsageError as error:
            raise ProblemError(400, str(error)) from error
        name = query.get("name", "")
        if name and not _NAME.fullmatch(name):
            raise ProblemError(400, "name is not 1 to 64 letters, digits, dots, dashes and _")
        stabilise = query.get("stabilise", "0") not in ("0", "false")
        return cls(cast(MapFormat, form), stabilise, budget, name)

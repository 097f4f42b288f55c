"""All scenarios, by name."""

from __future__ import annotations

from stress.case import SCENARIOS, Scenario
from stress.scenarios import (
    callbacks,
    exits,
    iterables,
    leaving,
    live,
    outputs,
    runs,
    several,
    tasks,
)

__all__ = ["SCENARIOS", "Scenario", "callbacks", "exits", "iterables", "leaving", "live"]
__all__ += ["outputs", "runs", "several", "tasks"]

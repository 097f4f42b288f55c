"""Stand-in for ``rclpy.qos``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ReliabilityPolicy(IntEnum):
    """The numbers are those of rmw."""

    RELIABLE = 1
    BEST_EFFORT = 2


@dataclass(kw_only=True)
class QoSProfile:
    """What the example asks for."""

    depth: int
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE

"""Stand-in for ``sensor_msgs.msg``: fields take the types that generated messages take."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

_TYPES = {
    "height": int, "width": int, "step": int, "is_bigendian": int, "encoding": str, "data": array,
}  # fmt: skip


@dataclass
class Time:
    """builtin_interfaces/Time."""

    sec: int = 0
    nanosec: int = 0


@dataclass
class Header:
    """std_msgs/Header."""

    stamp: Time = field(default_factory=Time)
    frame_id: str = ""


@dataclass
class Image:
    """sensor_msgs/Image."""

    header: Header = field(default_factory=Header)
    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: array[int] = field(default_factory=lambda: array("B"))

    def __setattr__(self, name: str, value: object) -> None:
        assert isinstance(value, _TYPES.get(name, object)), (name, type(value))
        super().__setattr__(name, value)

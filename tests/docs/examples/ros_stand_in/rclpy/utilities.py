"""Stand-in for ``rclpy.utilities``."""

from __future__ import annotations


def remove_ros_args(args: list[str]) -> list[str]:
    """The words before ``--ros-args``."""
    return args[: args.index("--ros-args")] if "--ros-args" in args else list(args)

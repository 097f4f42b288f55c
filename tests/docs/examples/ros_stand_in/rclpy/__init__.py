"""A stand-in for rclpy: it has what the example calls, and checks what rclpy would refuse.

``spin`` hands over the pictures of the folder in ``ROS_STAND_IN`` as messages and keeps what is
published there. It proves the node's own code, not its working in ROS 2.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from sensor_msgs.msg import Image

from rclpy.node import Node

_STATE = {"running": False}


def init() -> None:
    """Begin; twice is an error, as there."""
    assert not _STATE["running"]
    _STATE["running"] = True


def try_shutdown() -> None:
    """End."""
    _STATE["running"] = False


def spin(node: Node) -> None:
    """Give each picture of the folder to the subscription, in order, then end as Ctrl-C does."""
    assert _STATE["running"]
    folder = Path(os.environ["ROS_STAND_IN"])
    for number, file in enumerate(sorted(folder.glob("in_*.npz"))):
        given = np.load(file)
        message = Image()
        message.header.stamp.sec, message.header.stamp.nanosec = 7, number
        message.header.frame_id = "camera_optical_frame"
        message.height, message.width = map(int, given["size"])
        message.encoding, message.step = str(given["encoding"]), int(given["step"])
        message.data.frombytes(given["data"].tobytes())
        for subscription in node.subscriptions:
            subscription(message)
    for topic, messages in node.published.items():
        for number, message in enumerate(messages):
            values = np.frombuffer(message.data, np.float32)
            np.savez(
                folder / f"out_{number}.npz",
                topic=topic,
                depth=values.reshape(message.height, message.step // 4),
                width=message.width,
                encoding=message.encoding,
                nanosec=message.header.stamp.nanosec,
                frame_id=message.header.frame_id,
            )
    raise KeyboardInterrupt

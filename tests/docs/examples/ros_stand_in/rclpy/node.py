"""Stand-in for ``rclpy.node``."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable

from sensor_msgs.msg import Image

from rclpy.qos import QoSProfile


class Publisher:
    """Keeps what is published."""

    def __init__(self, kept: list[Image]) -> None:
        self._kept = kept

    def publish(self, message: Image) -> None:
        """Keep it."""
        assert isinstance(message, Image)
        self._kept.append(message)


class Logger:
    """Writes on standard error, as ROS does."""

    def info(self, text: str) -> None:
        """A line."""
        sys.stderr.write(f"[INFO] {text}\n")

    def error(self, text: str) -> None:
        """A line."""
        sys.stderr.write(f"[ERROR] {text}\n")


class Node:
    """Subscriptions of images and publishers of images."""

    def __init__(self, node_name: str) -> None:
        self.node_name = node_name
        self.subscriptions: list[Callable[[Image], None]] = []
        self.published: defaultdict[str, list[Image]] = defaultdict(list)

    def create_publisher(self, msg_type: type, topic: str, qos_profile: QoSProfile | int) -> object:
        """A publisher of a topic."""
        assert msg_type is Image
        return Publisher(self.published[topic])

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[[Image], None],
        qos_profile: QoSProfile | int,
    ) -> None:
        """Call back with every image."""
        assert (msg_type, topic) == (Image, "image_raw")
        self.subscriptions.append(callback)

    def get_logger(self) -> Logger:
        """Of this node."""
        return Logger()

    def destroy_node(self) -> None:
        """End it."""
        self.subscriptions.clear()

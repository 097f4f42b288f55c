"""A ROS 2 node: takes sensor_msgs/Image, publishes depth as 32FC1 with the same header.

    python3 ros2_node.py [MODEL] --ros-args -r image_raw:=/camera/image_raw

Written for rclpy. It was tested against a stand-in for rclpy and sensor_msgs, not in ROS itself.

A metric model publishes metres on `depth/image` (REP 118). The built-in model's depth is relative:
larger is nearer, without a scale. It goes to `relative_inverse_depth/image`, so that nothing
downstream takes it for metres.
"""

from __future__ import annotations

import sys
from array import array

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import Image

import depthrt

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


def to_rgb(message: Image) -> NDArray[np.uint8]:
    """The picture of a message as uint8 RGB (H,W,3); rows may be padded."""
    channels = CHANNELS[message.encoding]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    used = rows[:, : message.width * channels]
    pixels = used.reshape(message.height, message.width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    order = slice(2, None, -1) if message.encoding.startswith("bgr") else slice(0, 3)
    return np.ascontiguousarray(pixels[:, :, order])


def to_message(depth: depthrt.Depth, picture: Image) -> Image:
    """Depth at the picture's size as 32FC1, with the stamp and the frame id of the picture."""
    values = depth.at_image_size()
    if depth.unit == "m" and depth.kind == "inverse_depth":
        values = np.asarray(1 / np.where(values > 0, values, np.nan), np.float32)
    message = Image()
    message.header = picture.header
    message.height, message.width = values.shape
    message.encoding, message.step = "32FC1", 4 * values.shape[1]
    message.is_bigendian = int(sys.byteorder == "big")
    message.data = array("B", values.tobytes())  # of bytes rclpy checks each
    return message


class DepthNode(Node):  # type: ignore[misc]
    def __init__(self, model: depthrt.DepthModel) -> None:
        super().__init__("depthrt")
        self._model = model
        topic = "depth/image" if model.spec.unit == "m" else f"relative_{model.spec.kind}/image"
        self._publisher = self.create_publisher(Image, topic, 1)
        # A queue of one: while the network works, older pictures are replaced by newer ones.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "image_raw", self._on_image, qos)
        self.get_logger().info(f"{model.spec.name} publishes {topic}")

    def _on_image(self, message: Image) -> None:
        if message.encoding not in CHANNELS:
            self.get_logger().error(f"{message.encoding} is none of {', '.join(CHANNELS)}")
            return
        self._publisher.publish(to_message(self._model(to_rgb(message)), message))


def main() -> None:
    words = remove_ros_args(sys.argv)
    rclpy.init()
    node = DepthNode(depthrt.DepthModel.load(words[1] if len(words) > 1 else None))
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()

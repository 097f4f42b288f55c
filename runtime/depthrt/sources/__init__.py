"""Where frames come from: videos, images, cameras, network streams, arrays."""

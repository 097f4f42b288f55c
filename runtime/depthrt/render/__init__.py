"""Depth to look at: colours, views and point clouds."""

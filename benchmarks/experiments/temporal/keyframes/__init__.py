"""Depth of every frame, the network on a few: what it costs in accuracy, and what it gains."""

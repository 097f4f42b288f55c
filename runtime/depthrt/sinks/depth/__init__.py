"""Depth to compute with, as files."""

"""Depth evaluation: accuracy, boundaries and stability, each by a named protocol."""

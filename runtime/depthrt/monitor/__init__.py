"""Watching a model at work: features of pictures and depth, and their drift from a reference."""

"""Clips, labelled sets and other files that the tests write and read."""

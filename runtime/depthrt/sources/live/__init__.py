"""Cameras and network streams, which drop what is not taken in time."""

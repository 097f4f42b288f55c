"""Faster forms of a graph that compute the same."""

"""Figures of trained weights, and the files of a release."""

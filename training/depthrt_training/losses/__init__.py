"""Losses on inverse depth, on single images and on pairs of video frames."""

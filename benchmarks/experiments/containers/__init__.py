"""Containerfiles replayed without a container engine, and the dashboard on live data."""

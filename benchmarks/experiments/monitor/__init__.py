"""Measurements of the monitoring."""

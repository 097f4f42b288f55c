"""Servers on loopback and their clients, and a browser."""

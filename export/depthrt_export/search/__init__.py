"""The search for the fastest graph that still sees depth."""

"""A look at a run from a browser."""

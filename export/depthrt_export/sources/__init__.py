"""Where a trained network comes from."""

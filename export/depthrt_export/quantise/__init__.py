"""Ways to make a float32 graph smaller and faster."""

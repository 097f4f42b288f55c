"""What a figure means: alignment, crop, range and size."""

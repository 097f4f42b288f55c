"""What looks across frames: stabiliser, display range, reuse."""

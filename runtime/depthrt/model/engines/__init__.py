"""What execution providers compile of a model file, kept for the next load."""

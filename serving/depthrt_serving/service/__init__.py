"""What all routes share: the model, its queue, counters, tokens."""

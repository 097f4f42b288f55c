"""What training sees: the label cache, augmentation, batches, pairs of frames."""

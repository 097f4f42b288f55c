"""What looks across frames: stabilisation and reuse of frames, in figures."""

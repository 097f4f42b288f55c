"""What looks across frames: stabilisation, reuse of frames and keyframes, in figures."""

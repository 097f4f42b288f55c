"""Settings for training runs of seconds, and the folder of the recipe."""

from __future__ import annotations

from pathlib import Path

TRAINING = Path(__file__).parents[2] / "training"

QUICK = """
seed = 1
learning_rate = 1.0e-3
encoder_rate = 1.0
weight_decay = 1.0e-3
warmup_steps = 5
decay_share = 0.3
ema_decay = 0.9
gradient_clip = 3.0
frozen_blocks = 0
validate_every = 50
checkpoint_every = 10
loss = { gradient = 0.5, exact_gradient = 2.0, anchor = 0.2, trim = 0.1, far = 0.25 }
"""

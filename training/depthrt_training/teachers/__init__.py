"""Networks that label pictures without ground truth."""

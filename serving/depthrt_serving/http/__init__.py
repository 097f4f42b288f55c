"""What every request passes: limits, tokens, errors as JSON, the log."""

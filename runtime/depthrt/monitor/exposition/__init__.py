"""What is watched, as Prometheus reads it."""

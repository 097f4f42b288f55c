"""What was evaluated, for people."""

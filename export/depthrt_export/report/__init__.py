"""What an export made, for people."""

"""The README's table."""

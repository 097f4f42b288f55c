"""Stand-in for the package of messages."""

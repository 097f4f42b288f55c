"""From a source to a proven file."""

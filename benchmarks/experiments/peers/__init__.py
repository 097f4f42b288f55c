"""Other engines on the same networks."""

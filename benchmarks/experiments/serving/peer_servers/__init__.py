"""The simplest good server of the same model that a user of each peer would write."""

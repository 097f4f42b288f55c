"""One connection of a stream: the frame that waits, and the depth of each."""

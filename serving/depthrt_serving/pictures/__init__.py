"""From the bytes of a request to pictures, and from depth to the bytes of an answer."""

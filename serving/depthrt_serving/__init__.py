"""`depthrt serve`: depth over HTTP, of pictures, clips and streams."""

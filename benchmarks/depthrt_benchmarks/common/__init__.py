"""What bench and eval share."""

"""What quantisation costs and gains, on networks of many kinds."""

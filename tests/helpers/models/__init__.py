"""Small depthrt models that the tests make, and graphs to rewrite."""

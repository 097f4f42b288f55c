"""`depthrt scale`: relative depth to metres, from a few measured distances."""

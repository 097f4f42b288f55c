"""A depthrt file for servers of others: Triton's model repository, KServe's manifest."""

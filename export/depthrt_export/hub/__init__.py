"""Published networks: fetched from the Hugging Face hub, turned into a depthrt file and proven."""

"""Gates on accuracy: what `depthrt eval` says by its exit code."""

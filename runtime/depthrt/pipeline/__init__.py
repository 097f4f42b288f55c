"""From open sources to results: what reads, infers and post-processes frames side by side."""

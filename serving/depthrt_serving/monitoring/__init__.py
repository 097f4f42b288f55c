"""What the server counts and watches: metrics, drift, and a second model in the shadow."""

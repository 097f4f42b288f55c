"""How a model runs best on this machine: candidates, measured in turn until the best is sure."""

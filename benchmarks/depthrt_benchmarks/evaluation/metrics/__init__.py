"""The formulae of depth evaluation."""

"""The project's own experiments, whose results are in benchmarks/results; not in the wheel."""

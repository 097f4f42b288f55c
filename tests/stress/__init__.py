"""Random starts, breaks, closes, signals, exceptions and exits, each with its result verified.

``python tests/stress --minutes 10 --seed 1 --json out.json`` runs it. A failure names its scenario
and seed; ``python tests/stress --only NAME --seed SEED`` runs that one again.
"""

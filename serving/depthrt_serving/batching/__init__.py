"""Batches across clients, and what is refused when there is too much; knows nothing of HTTP."""

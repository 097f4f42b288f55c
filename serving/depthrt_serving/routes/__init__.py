"""The addresses that the server answers, one module for each group."""

"""One module for each layout in which labelled sets are published."""

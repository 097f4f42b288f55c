"""Who does what next: the threads of a run, and what is set up before they start."""

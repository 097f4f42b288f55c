"""The machine and the process: processor, CUDA, what is installed, interrupts, addresses."""

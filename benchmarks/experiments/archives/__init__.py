"""What `depthrt batch` does when things die, and how fast it is."""

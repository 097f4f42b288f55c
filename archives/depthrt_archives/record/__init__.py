"""What is kept of a batch: the folder of unfinished work, and the manifest of what is done."""

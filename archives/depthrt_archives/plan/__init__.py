"""What is to be done: the sources, and where long ones are cut."""

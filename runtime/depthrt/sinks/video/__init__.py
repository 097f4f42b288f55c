"""Videos to look at, with the sound of their source."""

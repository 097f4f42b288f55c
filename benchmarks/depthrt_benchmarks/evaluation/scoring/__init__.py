"""A model measured on the images of a set."""

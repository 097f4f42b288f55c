"""From new weights to the released files, and to the figures and pictures that tell of them."""

"""Files that are written whole, and read with a sentence for whatever is wrong with them."""

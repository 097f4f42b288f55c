"""Files written whole or not at all, and read with one sentence for whatever is wrong."""

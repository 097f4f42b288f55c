"""Is a candidate for the released weights better than today's: figures, goals, sheets, one JSON."""

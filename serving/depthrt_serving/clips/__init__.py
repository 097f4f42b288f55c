"""Videos that were sent, their jobs, and what came of them."""

"""Several models, of which the largest that holds a rate is used."""

"""Files that several data sets share the form of."""

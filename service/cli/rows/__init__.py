"""``ancestral batch``: rows in, parts of a data set out."""

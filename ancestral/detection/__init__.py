"""Whether a file was made here: by its recipe, by the noise in its symbols, by its likelihood."""

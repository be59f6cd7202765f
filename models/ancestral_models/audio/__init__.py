"""Sound as numbers: mu-law, log-mel frames, F0, alignment of text with a recording."""

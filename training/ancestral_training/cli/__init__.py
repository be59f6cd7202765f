"""The commands that build corpora, train, evaluate and export."""

"""Corpora, data sets, loops and evaluation: the distribution ``ancestral-lab``."""

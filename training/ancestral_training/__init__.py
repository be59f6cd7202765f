"""Corpora, data sets, loops and evaluation. Needs the ``train`` extra."""

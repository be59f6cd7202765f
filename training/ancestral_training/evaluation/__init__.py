"""Judges of sound and pictures."""

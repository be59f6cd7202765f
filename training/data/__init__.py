"""Data sets as arrays that training maps into memory."""

"""What is trained: one file an architecture."""

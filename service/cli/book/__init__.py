"""Long texts for ``ancestral read``: a text's chapters, its parts, who speaks them, and the file that they become."""

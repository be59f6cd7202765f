"""Long texts: a file's chapters and its parts, what a speaker is, and the file that they become."""

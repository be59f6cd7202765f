"""Books, read as background jobs."""

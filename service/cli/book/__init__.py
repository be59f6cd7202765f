"""Who speaks a book for ``ancestral read``: this process, or a server."""

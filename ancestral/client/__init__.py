"""The library's shape over HTTP: what :func:`ancestral.connect` gives."""

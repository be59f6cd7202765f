"""The mathematics of Ancestral: networks, engines, text and training. Knows nothing of HTTP or Redis."""

"""Measurements: each prints a table and, as its last line, one JSON object."""

import os

# As `ancestral` does (service/cli/main.py), before numpy is loaded: what is measured here is what is served.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

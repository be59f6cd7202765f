"""Benchmarks: each prints a table and, as its last line, one JSON object."""

import os

# As in `ancestral` (ancestral_service/cli/main.py), before numpy is loaded, so that benchmarks measure what is served.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

"""Where the tests find the repository, and each other."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
PROCESSES_FILE = "TEST_SERVER_PROCESSES"
"""The environment variable that names a file with a line for each `ancestral serve` that was started."""

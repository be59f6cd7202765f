"""The people's side of Ancestral: HTTP, the command line, settings. The mathematics lives in ``models``."""

from importlib.metadata import version

__version__ = version("ancestral")

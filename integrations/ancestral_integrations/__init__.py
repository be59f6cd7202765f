"""Commands that bring the voices to other programs, on the library alone: MCP, Wyoming, speech-dispatcher."""

from importlib.metadata import version

__version__ = version("ancestral")

"""``ancestral``: each subcommand is one module with an attribute ``command``.

A module is imported only when its command is run or listed, so that no command pays for another's imports.

Exit codes: 0 success, also of ``serve``, ``worker`` and ``mcp --http`` stopped by SIGTERM or Ctrl-C; 1 failure; 2 wrong
usage, or no command given; 130 any other command ended by Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from ancestral.service import __version__

_SERVICE, _TRAINING = "ancestral.service.cli", "ancestral.training.cli"
SECTIONS = {
    "Serve": (_SERVICE, ("serve", "worker", "keys", "provenance", "wyoming", "mcp", "speech-dispatcher")),
    "Sample without a server": (_SERVICE, ("say", "read", "draw", "batch", "detect", "models")),
    "Train models": (_TRAINING, ("voice", "corpus", "train", "evaluate", "export")),
}
"""The package and the commands of each section of ``ancestral --help``."""
_PACKAGES = {name: package for package, names in SECTIONS.values() for name in names}


class CommandModules(click.Group):
    """A group whose commands are modules, which are imported when they are run or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_PACKAGES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _PACKAGES:
            return None
        command = importlib.import_module(f"{_PACKAGES[cmd_name]}.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, by section."""
        width = max(map(len, _PACKAGES))
        for title, (_, names) in SECTIONS.items():
            listed = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", c.get_short_help_str(80)) for name, c in listed if c])


EPILOG = """\b
Examples:
  ancestral serve
  ancestral say "Good morning." --voice joe -o morning.wav
  ancestral read book.txt -o book.m4b
  ancestral draw 7 --scale 10 -o seven.png

Settings are environment variables (ANCESTRAL_…): see docs/configuration.md.
"""


@click.command(cls=CommandModules, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(__version__, prog_name="ancestral")
def ancestral() -> None:
    """Speech from a conditional WaveNet, pictures from a Gated PixelCNN: a server, a command line, and training."""


def main() -> None:
    """Run a command and exit with its code."""
    # The matrices of a sentence are too small for several BLAS threads, which would only take cores from the sampler.
    # Set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        ancestral(prog_name="ancestral", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)

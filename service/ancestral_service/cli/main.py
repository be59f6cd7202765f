"""``ancestral``: each subcommand is one module with an attribute ``command``.

A module is imported only when its command is run or listed, so that no command pays for another's imports. Other
distributions add commands by the entry point group ``ancestral.commands``.

Exit codes: 0 success, also of ``serve``, ``worker`` and ``mcp --http`` stopped by SIGTERM or Ctrl-C; 1 failure; 2 wrong
usage, or no command given; 130 any other command ended by Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points

import click

from ancestral.extras import needed
from ancestral_service import __version__

SECTIONS = {
    "Serve": ("serve", "worker", "keys", "provenance"),
    "Sample without a server": ("say", "read", "phonemize", "draw", "batch", "detect", "models"),
}
"""The commands of each section of ``ancestral --help``."""
_OWN = {name for names in SECTIONS.values() for name in names}
_ELSEWHERE = {
    "ancestral-integrations": ("integrations", ("wyoming", "mcp", "speech-dispatcher")),
    "ancestral-lab": ("training", ("voice", "corpus", "train", "evaluate", "export")),
}
"""Distributions of this repository with commands of their own: their folders, and the commands."""


class CommandModules(click.Group):
    """A group whose commands are modules, which are imported when they are run or listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_OWN.union(*(group.names for group in _installed().values())))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            command = importlib.import_module(f"ancestral_service.cli.{cmd_name.replace('-', '_')}").command
        elif found := next((group[cmd_name] for group in _installed().values() if cmd_name in group.names), None):
            try:
                command = found.load()
            except (AttributeError, ImportError) as error:
                raise click.ClickException(f"{cmd_name}: {error}") from error
        else:
            for name, (folder, names) in _ELSEWHERE.items():
                if cmd_name in names:
                    raise click.UsageError(f"{cmd_name!r} is a command of {name}: pip install ./{folder}")
            return None
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, by section: of other distributions by their summary."""
        width = max(map(len, self.list_commands(ctx)))
        sections = SECTIONS | {title: tuple(point.name for point in group) for title, group in _installed().items()}
        for title, names in sections.items():
            listed: list[tuple[str, click.Command | None]] = []
            for name in names:
                with suppress(click.ClickException):  # a command of another distribution that cannot be imported
                    listed.append((name, self.get_command(ctx, name)))
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", c.get_short_help_str(80)) for name, c in listed if c])


@cache
def _installed() -> dict[str, EntryPoints]:
    """The commands of other installed distributions, by the summary of each."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group="ancestral.commands"):
        found.setdefault(point.dist.metadata["Summary"] if point.dist else "", []).append(point)
    return {title: EntryPoints(points) for title, points in sorted(found.items())}


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
    except ModuleNotFoundError as error:
        click.echo(f"Error: this command {needed(error)}", err=True)
        sys.exit(1)
    except click.Abort:
        sys.exit(130)

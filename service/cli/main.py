"""``ancestral``: each subcommand is one module of ``service.cli`` that offers ``command``.

A module is imported only when its command is wanted, so what one of them needs costs the others nothing.

Exit codes: 0 done, or a server that was asked to stop (SIGTERM, Ctrl-C); 1 it could not be done; 2 wrong usage;
130 another command broken off with Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys

import click

from service import __version__
from service import cli as commands


class CommandModules(click.Group):
    """A group whose commands are the modules of a package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the modules; this one is no command, nor is what lies in packages."""
        return sorted(m.name for m in pkgutil.iter_modules(commands.__path__) if not m.ispkg and m.name != "main")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The ``command`` of the module of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{commands.__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.command(cls=CommandModules, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ancestral")
def ancestral() -> None:
    """Speech from a conditional WaveNet, pictures from a Gated PixelCNN, one sample at a time."""


def main() -> None:
    """Run a command and exit with its code."""
    # A sentence's matrices are too small to share out: more BLAS threads only wait for each other, and take the cores
    # from the sampler. Set before numpy is loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        ancestral(prog_name="ancestral", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)

"""The subcommands of ``ancestral``, one module each; see ``service.cli``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def explained(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the errors that a user can mend into a message and exit code 1."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(str(error)) from error

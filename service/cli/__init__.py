"""The subcommands of ``ancestral``, one module each; see ``service.cli.main``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range that NaN does not slip through: every comparison with it is false, so click's own check lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


@contextmanager
def explained(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the errors that a user can mend into a message and exit code 1."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(str(error)) from error

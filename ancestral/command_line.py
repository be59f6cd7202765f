"""What the commands of ``ancestral`` share: types of options, messages for errors, output files."""

from __future__ import annotations

import functools
import gc
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ancestral.catalog.seeds import MAX_SEED, seed_of_text

_FOLDER = click.Path(file_okay=False, path_type=Path)


class FiniteRange(click.FloatRange):
    """A range that refuses NaN, which click accepts because every comparison with it is false."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class SeedType(click.IntRange):
    """A seed: a number, or a text that stands for one. The value is the number."""

    name = "number|text"

    def __init__(self) -> None:
        super().__init__(0, MAX_SEED)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            seed = seed_of_text(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(f"{value[:80]!r}: {error}.", param, ctx)
        return super().convert(seed, param, ctx)


def _named_voices(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Names and their voices."""
    pairs = [value.partition("=") for value in values]
    for name, equals, voice in pairs:
        if not (name and voice):
            raise click.BadParameter(f"{name + equals + voice!r} is not like ANNA=emma.")
    return {name: voice for name, _, voice in pairs}


voices_option = click.option(
    "--voices",
    metavar="NAME=VOICE",
    multiple=True,
    callback=_named_voices,
    help="Who says the lines that begin with 'NAME:'. Once a name. [voice:joe] in the text needs none.",
)


@contextmanager
def click_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors that the user can correct into a message and exit code 1."""
    try:
        yield
    except kinds as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Import and make what lasts as long as the process, and leave it out of all garbage collections.

    Otherwise hundreds of thousands of objects are looked at many times while they are made, in every full collection of
    a server's life, and once more at its end: a third of the processor time of a start and a stop.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def check_output(output: Path) -> None:
    """Refuse a file that cannot be written, before any time is spent on its content.

    Raises:
        click.ClickException: its directory does not exist, or it or the directory is not writable.
    """
    if not os.path.isdir(output.parent):  # Path.is_dir raises where the path may not be looked at
        raise click.ClickException(f"{output}: there is no directory {output.parent}")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise click.ClickException(f"{output}: permission denied")


def model_options(function: Callable[..., None]) -> Callable[..., None]:
    """Options that say which models there are and how they are sampled, as ``ANCESTRAL_*`` say it to a server.

    The command gets ``config`` (a :class:`~ancestral.catalog.catalog.CatalogConfig`) and ``engine``.
    """

    @click.option("--models-dir", type=_FOLDER, envvar="ANCESTRAL_MODELS_DIR", help="Of models, not the bundled ones.")
    @click.option("--data-dir", type=_FOLDER, envvar="ANCESTRAL_DATA_DIR", default="data", show_default=True)
    @click.option("--engine", envvar="ANCESTRAL_ENGINE", default="auto", show_default=True)
    @functools.wraps(function)
    def with_config(models_dir: Path | None, data_dir: Path, **arguments: Any) -> None:
        from ancestral.catalog.catalog import BUNDLED, CatalogConfig

        function(config=CatalogConfig((models_dir or BUNDLED, data_dir / "models")), **arguments)

    return with_config

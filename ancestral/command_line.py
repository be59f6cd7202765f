"""What the commands of ``ancestral`` share: types of options, messages for errors, output files."""

from __future__ import annotations

import functools
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import TypeAdapter, ValidationError

from ancestral.requests import StrictRequest, from_validation

if TYPE_CHECKING:
    from rich.progress import Progress

    from ancestral.client.server import RemoteModel, Server
    from ancestral.local import LocalModels
    from ancestral.model import Model
    from ancestral_models.entries import Voice

F = TypeVar("F", bound=Callable[..., None])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""A file that is read."""
_FOLDER = click.Path(file_okay=False, path_type=Path)


class FieldType(click.ParamType[Any]):
    """The value of a field of a request, with the field's bounds and words.

    Args:
        name: of the field.
        annotation: its type, annotated with a :class:`pydantic.fields.FieldInfo`.
    """

    def __init__(self, name: str, annotation: Any) -> None:
        self._field, self._adapter = name, TypeAdapter[Any](annotation)
        allowed = _alternatives(self._adapter.json_schema())
        self.name = "|".join(schema["type"] for schema in allowed)
        low, high = (allowed[0].get(bound) for bound in ("minimum", "maximum"))
        self.range = "" if low is None or high is None else f" {low:g} to {high:g}."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            (first, *_) = error.errors(include_url=False, include_input=False)
            self.fail(from_validation([{**first, "loc": (self._field,)}]).message, param, ctx)


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas, other than of null, that a value may fit."""
    if "anyOf" in schema:
        return [found for part in schema["anyOf"] for found in _alternatives(part)]
    return [schema] if schema.get("type", "null") != "null" else []


def field_options(request: type[StrictRequest], *names: str, **replaced: Any) -> Callable[[F], F]:
    """An option for each of these fields of a request, with its range, default and help.

    Args:
        request: has the fields.
        names: of the fields.
        replaced: arguments of :func:`click.option` that differ from what the field says.
    """

    def decorate(function: F) -> F:
        for name in reversed(names):
            field = request.model_fields[name]
            kind: click.ParamType[Any] = (
                click.Choice(get_args(field.annotation))
                if get_origin(field.annotation) is Literal
                else FieldType(name, Annotated[field.annotation, field])
            )
            given = {
                "type": kind, "default": field.default, "show_default": field.default is not None,
                "help": str(field.description).replace("`", "") + getattr(kind, "range", ""),
            }  # fmt: skip
            function = click.option(f"--{name.replace('_', '-')}", **given | replaced)(function)
        return function

    return decorate


def _named_voices(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Names and their voices."""
    pairs = [value.partition("=") for value in values]
    for name, equals, voice in pairs:
        if not (name and voice):
            raise click.BadParameter(f"{name + equals + voice!r} is not like ANNA=emma.")
    if len(found := {name: voice for name, _, voice in pairs}) < len(pairs):
        raise click.BadParameter("one name is given two voices.")
    return found


def written(_ctx: click.Context, param: click.Parameter, text: str | Path | None) -> str | None:
    """A text that is given itself, as a file, or as `-`, which is standard input."""
    if text is None or (isinstance(text, str) and text != "-"):
        return text
    try:
        source = sys.stdin.buffer.read() if text == "-" else Path(text).read_bytes()
        return source.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        hint = "TEXT" if param.name == "text" else None
        raise click.BadParameter(f"not UTF-8 at byte {error.start}", param=param, param_hint=hint) from error


pronunciations_option = click.option(
    "--pronunciations",
    "lexicon",
    type=FILE,
    help="A file of words and their phonemes, JSON or .pls (docs/text.md); ANCESTRAL_PRONUNCIATIONS by default.",
)
voices_option = click.option(
    "--voices",
    metavar="NAME=VOICE",
    multiple=True,
    callback=_named_voices,
    help="The voice of the lines that begin with 'NAME:'; repeatable. [voice:joe] in the text works without it.",
)


def progress_bar(figures: str) -> Progress:
    """A progress bar on standard error.

    Args:
        figures: of a task, beside its bar: a format of :class:`rich.progress.TextColumn`.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TextColumn(figures), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


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


def check_suffix(output: Path, suffixes: Iterable[str], option: str = "--output") -> None:
    """Raise click.BadParameter unless a file's name ends in one of these, in any case."""
    if output.suffix.lower() not in suffixes:
        raise click.BadParameter(f"{output.name}: the name must end in {', '.join(suffixes)}", param_hint=option)


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

    @click.option("--models-dir", type=_FOLDER, envvar="ANCESTRAL_MODELS_DIR", help="Instead of the bundled models.")
    @click.option("--data-dir", type=_FOLDER, envvar="ANCESTRAL_DATA_DIR", default="data", show_default=True)
    @click.option("--engine", envvar="ANCESTRAL_ENGINE", default="auto", show_default=True, help="Sampling engine.")
    @functools.wraps(function)
    def with_config(models_dir: Path | None, data_dir: Path, **arguments: Any) -> None:
        from ancestral.catalog.catalog import BUNDLED, CatalogConfig

        function(config=CatalogConfig((models_dir or BUNDLED, data_dir / "models")), **arguments)

    return with_config


# ``--url`` and ``--api-key-file``: of commands that can let a server sample.


def server_options(function: F) -> F:
    """Options that name a server; the command gets ``url`` and ``api_key_file``."""
    key = click.option("--api-key-file", type=FILE, help="A file with the key for --url, if the server needs one.")
    url = click.option("--url", help="Let this server sample, such as http://localhost:8000, instead of this process.")
    return url(key(function))


def connected(url: str | None, api_key_file: Path | None) -> Server | None:
    """The server that the options name; None if they name none.

    Raises:
        click.UsageError: there is a key for no server.
        AncestralError: see :func:`ancestral.connect`.
    """
    if url is None:
        if api_key_file is not None:
            raise click.UsageError("--api-key-file is for --url")
        return None
    from ancestral.client.server import connect

    return connect(url, None if api_key_file is None else api_key_file.read_text().strip())


def local_models() -> LocalModels:
    """The models that ``ANCESTRAL_*`` configure, for a command that logs as a library does.

    Raises:
        SettingsError: a setting is wrong.
    """
    from ancestral.local import LocalModels
    from ancestral.settings import ModelSettings, read_settings

    settings = read_settings(ModelSettings)
    level = settings.log_level if "log_level" in settings.model_fields_set else "warning"
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(message)s")
    return LocalModels(settings)


@dataclass(frozen=True)
class Chosen:
    """A model that speaks, here or of a server."""

    model: Model | RemoteModel
    voices: tuple[Voice, ...]
    summary: str
    """Description of the model."""
    is_remote: bool


@contextmanager
def chosen_model(url: str | None, api_key_file: Path | None, model: str | None, voice: str | None) -> Iterator[Chosen]:
    """The model that options choose, here or of a server: by its id, or else the first one that has the voice.

    Raises:
        SettingsError: a setting is wrong.
        click.UsageError: there is a key for no server.
        AncestralError: there is no such model or voice, or the server does not answer.
    """
    if (server := connected(url, api_key_file)) is None:
        models = local_models()
        here = models.model_that_speaks(voice) if model is None else models.load(model)
        entry = here.description.entry
        yield Chosen(here, entry.voices, entry.description, is_remote=False)
        return
    with server:
        found = server.model_that_speaks(voice) if model is None else server.load(model)
        yield Chosen(found, found.described_voices, str(found.description["description"]), is_remote=True)


_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on


def address_of(host: str, port: int) -> str:
    """The URL of a server that listens there, as its own machine reaches it."""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

"""Options of commands that sample here or at a server, and the model that they choose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ancestral.catalog.catalog import Catalog, load_catalog
from ancestral.catalog.voices import find_voice, first_with_voice
from ancestral.command_line import FILE
from ancestral.detection.local import Detector
from ancestral.errors import AncestralError
from ancestral.model import Model, load_from
from ancestral.models.checkpoint import CheckpointError
from ancestral.models.entries import CAPABILITIES, ModelEntry, ModelError, speaks
from ancestral.provenance.c2pa import SigningError
from ancestral.service.settings import SettingsError, load_settings
from ancestral.service.telemetry.logging import configure_logging

if TYPE_CHECKING:
    from ancestral.client.server import RemoteModel, Server
    from ancestral.models.entries import Voice


# The models of the configured deployment, in this process.

FAILURES: Final = (SettingsError, ModelError, CheckpointError, AncestralError, SigningError, OSError)
"""What the user of a command can correct."""


def model_that_draws(prompt: str | None) -> str:
    """The id of the first configured model that draws this; see :meth:`Catalog.model_that_draws`."""
    return load_catalog(load_settings().catalog_config).model_that_draws(prompt).entry.id


def model_that_speaks(voice: str | None, language: str | None = None) -> str:
    """The id of the first configured model that speaks, and has this voice or else, if there is one, a voice of this
    language; see :meth:`Catalog.model_and_voice`. No checkpoint is read: that would take longer than most texts need
    until their first sound."""
    config = load_settings().catalog_config
    entries = config.entries()
    aliases = config.aliases(entries)
    speaking = [entry for entry in entries.values() if "speech" in CAPABILITIES[entry.kind]]
    speaking.sort(key=lambda entry: (not speaks(entry.voices, language), entry.id not in aliases.models.values()))

    def find(entry: ModelEntry) -> object:
        return voice is None or find_voice(entry.id, entry.voices, voice, aliases.voices)

    return first_with_voice(speaking, find)[0].id


def configured_model(model: str, pronunciations: Path | None = None) -> Model:
    """A model by its id or an alias, with the engine and the aliases of ``ANCESTRAL_*``.

    Args:
        model: to load.
        pronunciations: instead of ANCESTRAL_PRONUNCIATIONS.

    Raises:
        SettingsError: a setting is wrong.
        ModelError: see :func:`ancestral.load`, for the other errors as well.
    """
    settings = load_settings()
    given = settings.model_fields_set
    log_level = settings.log_level if "log_level" in given else "warning"
    configure_logging(log_level, settings.log_format if "log_format" in given else "text")
    config = settings.catalog_config
    if pronunciations is not None:
        config = replace(config, pronunciations=pronunciations)
    return load_from(config, model, settings.engine)


# The configured models of this process, in the shape of :class:`ancestral.client.server.Server`.


class LocalModels:
    """Models that are loaded when they are first used, once, whichever thread asks."""

    def __init__(self) -> None:
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def load(self, model: str) -> Model:
        """A model by its id or an alias; raises as :func:`ancestral.load`."""
        with self._lock:
            if model not in self._loaded:
                self._loaded[model] = configured_model(model)
            return self._loaded[model]

    def model_that_speaks(self, voice: str | None = None) -> Model:
        """The first model that speaks, and has this voice; raises InvalidRequest if there is none."""
        return self.load(model_that_speaks(voice))

    def model_that_draws(self, prompt: str | None = None) -> Model:
        """The first model that draws this; raises InvalidRequest if there is none."""
        return self.load(model_that_draws(prompt or "any"))

    def detect(self, file: str | Path | bytes, **options: Any) -> dict[str, Any]:
        with self._lock:
            return self._detector.detect(file, **options)

    @cached_property
    def catalog(self) -> Catalog:
        return load_catalog(load_settings().catalog_config)

    @cached_property
    def _detector(self) -> Detector:
        settings = load_settings()
        return Detector(settings.catalog_config, settings.engine, signer=settings.load_signer())


# ``--url`` and ``--api-key-file``: of commands that can let a server sample.

F = TypeVar("F", bound=Callable[..., object])


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
    """The model that options choose: by its id, or else the first one that has the voice.

    Raises:
        click.UsageError: there is a key for no server.
        AncestralError: there is no such model or voice, or the server does not answer.
    """
    if (server := connected(url, api_key_file)) is None:
        here = configured_model(model or model_that_speaks(voice))
        entry = here.description.entry
        yield Chosen(here, entry.voices, entry.description, is_remote=False)
        return
    with server:
        found = server.model_that_speaks(voice) if model is None else server.load(model)
        yield Chosen(found, found.described_voices, str(found.description["description"]), is_remote=True)

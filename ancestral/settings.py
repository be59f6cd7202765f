"""The settings of models, read from ``ANCESTRAL_*`` environment variables; a server has more (ancestral_service).

A model's architecture is in its checkpoint and a request's parameters are in its schema; neither is set here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, DirectoryPath, FilePath, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ancestral.catalog.catalog import BUNDLED, CatalogConfig
from ancestral.provenance.c2pa import Signer, SignerError, load_signer

PREFIX: Final = "ANCESTRAL_"


class SettingsError(ValueError):
    """A setting is unknown or has an invalid value; the message names the variable."""


def _pairs(value: object) -> object:
    if not isinstance(value, str):
        return value
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        alias, _, target = (word.strip() for word in part.partition("="))
        if not alias or not target:
            raise ValueError(f"{part}: must be alias=id")
        if alias in pairs:
            raise ValueError(f"{alias}: given twice")
        pairs[alias] = target
    return pairs


Aliases = Annotated[
    dict[str, str] | None,
    NoDecode,  # pydantic-settings would parse it as JSON
    BeforeValidator(_pairs),
]
"""Comma-separated pairs of an alias and an id: ``alloy=heart,ash=joe``."""


class ModelSettings(BaseSettings):
    """Where the models are, how they are sampled, how files are signed. Frozen."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, protected_namespaces=(), use_attribute_docstrings=True
    )

    data_dir: Path = Path("data")
    """Directory for the bundled Redis's data. Models in its `models/` are served as well."""
    models_dir: DirectoryPath = BUNDLED
    """The bundled models: a directory with one subdirectory per model."""
    engine: Literal["auto", "native", "onnx-cuda", "onnx-cpu"] = "auto"
    """The sampling engine: `native` (C), `onnx-cuda` (needs the extra `gpu` and a GPU), `onnx-cpu` (needs the extra
    `cpu`), or `auto`: `native`."""
    signing_cert: FilePath | None = None
    """PEM file with the certificate that finished files are signed with (C2PA), then those above it. `ancestral
    provenance init` makes one for trials. Needs `ANCESTRAL_SIGNING_KEY` and the extra `provenance`. If it is not set,
    nothing is signed."""
    signing_key: FilePath | None = None
    """PEM file with the private key of that certificate, on the curve P-256 (ES256), without a passphrase."""
    model_aliases: Aliases = None
    """Comma-separated other names of models, `alias=id`. If it is not set, the names that clients of OpenAI, ElevenLabs
    and Kokoro-FastAPI send by default (`tts-1`, `tts-1-hd`, `gpt-4o-mini-tts`, `eleven_turbo_v2_5` and so on, `kokoro`;
    `dall-e-2`, `dall-e-3`, `gpt-image-1` and so on) stand for `wavenet-multilingual`, or another model that has the
    voice, and `pixelcnn-sprites`. Empty: no aliases."""
    voice_aliases: Aliases = None
    """Comma-separated other names of voices, `alias=id`. If it is not set, OpenAI's names that are no voices here
    (`ash`, `ballad` and so on) and Kokoro's (`af_nova`, `bm_fable` and so on) stand for bundled voices. Empty: no
    aliases."""
    pronunciations: FilePath | None = None
    """File with words and how they are said, for every text: JSON, as `{"Nginx": "EH1 N JH IH0 N EH1 K S"}`, or `.pls`.
    API processes read it when they start."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line written, on standard error: `debug`, `info`, `warning` or `error`. If it is not set,
    commands that use no server log from `warning` on."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`json`: one object per line; `text`: lines for people; `auto`: `text` on a terminal, else `json`. If it is
    not set, commands that use no server log `text`. Text is coloured on a terminal unless `NO_COLOR` is set."""

    @property
    def catalog_config(self) -> CatalogConfig:
        """Where the models are, and what else they are called."""
        directories = (self.models_dir, self.data_dir / "models")
        return CatalogConfig(directories, self.model_aliases, self.voice_aliases, self.pronunciations)

    def load_signer(self) -> Signer | None:
        """What signs finished files; None if nothing is signed.

        Raises:
            SettingsError: the certificate or the key cannot be used.
        """
        if self.signing_cert is None and self.signing_key is None:
            return None
        if self.signing_cert is None or self.signing_key is None:
            given, missing = ("KEY", "CERT") if self.signing_cert is None else ("CERT", "KEY")
            raise SettingsError(f"{PREFIX}SIGNING_{missing}: not set, but {PREFIX}SIGNING_{given} is")
        try:
            return load_signer(self.signing_cert, self.signing_key)
        except SignerError as error:
            raise SettingsError(f"{PREFIX}SIGNING_{error.part.upper()}: {error}") from error


S = TypeVar("S", bound=ModelSettings)


def read_settings(kind: type[S], **overrides: Any) -> S:
    """Settings of a kind, from the environment.

    Args:
        kind: of settings.
        overrides: fields given on the command line, which override the environment; None means not given.

    Raises:
        SettingsError: a value is invalid.
    """
    try:
        return kind(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SettingsError(f"{PREFIX}{str(first['loc'][0]).upper()}: {first['msg']}") from error

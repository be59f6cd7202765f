"""What a job is to do: a frozen dataclass per kind of job, with one JSON form.

The API process resolves a request into a payload at admission: seed, labels, phonemes and every default. The payload
travels in the job's record as JSON text with a version. A process that reads a version it does not know fails the job
and never guesses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import TypeAdapter

from ancestral.service.errors import Conflict

# What is known of a job's file.


@dataclass(frozen=True)
class ArtifactInfo:
    media_type: str
    bytes: int
    sha256: str
    samples: int
    """Symbols that were sampled."""
    symbols_sha256: str
    """Hash of what the job's stream holds."""
    entries: Sequence[tuple[int, int]] = ()
    """Offset and size of each file inside an archive."""
    unsigned: tuple[int, str] | None = None
    """Size and SHA-256 of the file before it was signed; None if it is not."""
    c2pa: tuple[int, int] | None = None
    """Offset and size of a C2PA manifest beside the file; None if there is none, or it is inside."""


class PayloadError(Conflict):
    """A payload that another version of this software has written."""

    code = "payload_version"


@dataclass(frozen=True, kw_only=True)
class Payload:
    """The base of all payloads. A subclass declares its fields; when their meaning changes, its version does."""

    VERSION: ClassVar[int] = 1

    def with_result(self, result: Mapping[str, Any] | None) -> Self:
        """The payload of a job that has ended with this result: what only sampling could decide is decided."""
        return self

    @property
    def excerpt(self) -> str | None:
        """What lists of jobs show of the request: its text, or its prompt."""
        return None

    def fields(self) -> dict[str, Any]:
        values: dict[str, Any] = self._adapter().dump_python(self, mode="json")
        return values

    def dump(self) -> str:
        return json.dumps({"version": self.VERSION} | self.fields(), separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self:
        """What :meth:`dump` wrote.

        Raises:
            PayloadError: it has another version, or does not have the fields of this one.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            version = fields["version"]
            if version == cls.VERSION:
                payload: Self = cls._adapter().validate_python(fields)
                return payload
        except (KeyError, TypeError, ValueError) as error:  # of which pydantic's ValidationError is one
            raise PayloadError("The job's payload cannot be read: another version of the server wrote it.") from error
        message = f"The job's payload has version {version}; this process reads version {cls.VERSION}."
        raise PayloadError(message)

    @classmethod
    @cache
    def _adapter(cls) -> TypeAdapter[Any]:
        return TypeAdapter(cls)


@dataclass(frozen=True, kw_only=True)
class SampledPayload(Payload):
    """The payload of a job whose output is sampled, and can be sampled again from its seed."""

    seed: int
    temperature: float
    prompt_sha256: str | None = None
    """Hash of the symbols that came with the request and that the samples continue."""

    @property
    def total_first(self) -> bool:
        """Whether the length of the whole output is found out before its first symbols are sent, for the headers of
        formats that have one."""
        return True

    @property
    def holds_upload(self) -> bool:
        """Whether a part of the output was uploaded, and the rest sampled."""
        return False

    def seed_of(self, index: int) -> int:
        """The seed of file ``index`` of the output."""
        return self.seed

    def recipe_of(self, model: Any, index: int) -> dict[str, Any]:
        """What file ``index`` is made from with the job's model, as JSON values with the names of a request."""
        raise NotImplementedError

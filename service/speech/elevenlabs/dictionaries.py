"""ElevenLabs' pronunciation dictionaries: lexicons that are kept. Their entries make their ids, so that the same rules
added again are the same dictionary, and no request can be read otherwise than when it was written.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from ancestral.errors import InvalidRequest, NotFound
from ancestral.models.text import PronunciationError, Pronunciations
from ancestral.models.text.pronunciations import (
    ALIAS,
    MAX_PHONEME_CHARACTERS,
    MAX_WORD_CHARACTERS,
    in_alphabet,
    is_arpabet,
)
from ancestral.requests import MAX_PRONUNCIATIONS, Described, StrictRequest, example
from ancestral.service.errors import Overloaded
from ancestral.service.jobs.state import AppState, Caller
from ancestral.service.speech.elevenlabs.schemas import PAGE, DictionaryLocator

_MAX_DICTIONARIES: Final = 100
"""Of one caller."""


class _Rule(StrictRequest):
    string_to_replace: str = Field(min_length=1, max_length=MAX_WORD_CHARACTERS)
    """A word, or several."""
    case_sensitive: bool | None = None
    """A word in lower case stands for any case; another one for its spelling, unless this is false."""
    word_boundaries: Literal[True] | None = None
    """Only whole words are replaced."""

    @model_validator(mode="after")
    def _check_case(self) -> Self:
        if self.case_sensitive and self.string_to_replace.islower():
            raise ValueError("case_sensitive: a word in lower case stands for it in any case")
        return self


class AliasRule(_Rule):
    """A word, and the text that is read for it."""

    type: Literal["alias"]
    alias: str = Field(min_length=1, max_length=MAX_PHONEME_CHARACTERS - len(ALIAS))


class PhonemeRule(_Rule):
    """A word, and its phonemes."""

    type: Literal["phoneme"]
    phoneme: str = Field(min_length=1, max_length=MAX_PHONEME_CHARACTERS)
    alphabet: Literal["ipa", "cmu-arpabet"]


Rules = list[Annotated[AliasRule | PhonemeRule, Field(discriminator="type")]]
DictionaryName = Annotated[str, Field(min_length=1, max_length=256)]


class RulesOfDictionary(StrictRequest):
    """The body of a request for a dictionary: its rules."""

    model_config = example(
        name="names", rules=[{"type": "alias", "string_to_replace": "UN", "alias": "United Nations"}]
    )

    rules: Rules = Field(min_length=1, max_length=MAX_PRONUNCIATIONS)
    name: DictionaryName
    description: str | None = Field(default=None, max_length=1024)


class Archived(StrictRequest):
    model_config = example(archived=True)

    archived: Literal[True]
    """What is archived here is deleted."""


class DictionariesQuery(Described):
    """How many dictionaries to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: str | None = Field(default=None, pattern=PAGE)
    """`next_cursor` of the answer before."""
    page_size: int = Field(default=30, ge=1, le=100)
    """Dictionaries in an answer."""


class ElevenLabsDictionary(Described):
    """A dictionary of the caller's, which is kept for 30 days from its last use. It has one version."""

    id: str
    name: str
    description: str | None
    created_by: str
    creation_time_unix: int
    permission_on_resource: Literal["admin"] = "admin"
    version_id: str
    version_rules_num: int
    latest_version_id: str
    latest_version_rules_num: int
    archived_time_unix: int | None = None
    rules: Rules | None = None
    """Not in lists."""


class ElevenLabsDictionaries(Described):
    """Some of the caller's dictionaries, the newest first."""

    pronunciation_dictionaries: list[ElevenLabsDictionary]
    next_cursor: str | None
    has_more: bool


def entries_of(rules: Rules) -> dict[str, str]:
    """Rules as the entries of a lexicon; of two for one word the first counts.

    Raises:
        PronunciationError: phonemes are not written in their alphabet.
    """
    entries: dict[str, str] = {}
    for rule in rules:
        word = rule.string_to_replace.lower() if rule.case_sensitive is False else rule.string_to_replace
        said = ALIAS + rule.alias if isinstance(rule, AliasRule) else in_alphabet(rule.phoneme, rule.alphabet)
        entries.setdefault(word, said)
    return entries


def _rule(word: str, said: str) -> dict[str, Any]:
    """An entry of a lexicon as a rule."""
    shared = {"string_to_replace": word, "case_sensitive": None if word.islower() else True, "word_boundaries": True}
    if said.startswith(ALIAS):
        return {"type": "alias", "alias": said.removeprefix(ALIAS), **shared}
    return {"type": "phoneme", "phoneme": said, "alphabet": "cmu-arpabet" if is_arpabet(said) else "ipa", **shared}


async def add(
    state: AppState, caller: Caller, param: str, entries: Mapping[str, str], name: str, description: str | None
) -> ElevenLabsDictionary:
    """Keep a dictionary.

    Raises:
        InvalidRequest: an entry cannot be used, or there are too many; ``param`` is the field that they came in.
        Overloaded: the caller has too many dictionaries.
    """
    if not 0 < len(entries) <= MAX_PRONUNCIATIONS:
        message = f"{param}: {len(entries)} rules; a dictionary has 1 to {MAX_PRONUNCIATIONS}"
        raise InvalidRequest(message, param=param, code="too_many_rules")
    try:
        await asyncio.to_thread(Pronunciations, entries)  # up to 5 ms an entry
    except PronunciationError as error:
        raise InvalidRequest(f"{param}: {error}", param=param, code="unsupported_phonemes") from error
    digest = hashlib.sha256(json.dumps([caller.name, list(entries.items())]).encode()).hexdigest()[:24]
    name_of = f"dict_{digest}"
    document = {
        "id": name_of, "owner": caller.name, "name": name, "description": description, "created_by": caller.name,
        "creation_time_unix": int(time.time()), "rules": len(entries),
    }  # fmt: skip
    owned = await state.broker.batches.owned("dictionary", caller.name)
    if len(owned) >= _MAX_DICTIONARIES and all(known["id"] != name_of for known in owned):
        message = f"This caller has {len(owned)} dictionaries; archive some."
        raise Overloaded(message, retry_after=3600, code="too_many_dictionaries")
    await state.broker.batches.put("dictionary", document, json.dumps(dict(entries)).encode())
    return describe(document)


async def entries_in(state: AppState, document: Mapping[str, Any], within: str = "") -> dict[str, str]:
    """The entries of a dictionary; raises NotFound if it has just been deleted, ``param`` begins with ``within``."""
    if (data := await state.broker.batches.data("dictionary", document["id"])) is None:
        raise _missing(f"{within}pronunciation_dictionary_id")
    return dict(json.loads(data))


async def find(
    state: AppState, caller: Caller, name: str, version: str | None = None, within: str = ""
) -> dict[str, Any]:
    """A dictionary of the caller's, which is kept for longer now.

    Raises:
        NotFound: there is none, or not in this version; ``param`` begins with ``within``.
    """
    document = await state.broker.batches.get("dictionary", name)
    owned = document is not None and document["owner"] == caller.name
    if document is None or not owned or version not in (None, name):
        raise _missing(f"{within}{'version_id' if owned else 'pronunciation_dictionary_id'}")
    await state.broker.batches.keep("dictionary", document)
    return document


def _missing(param: str) -> NotFound:
    return NotFound(f"{param}: no such dictionary", param=param, code="dictionary_not_found")


async def words_of(state: AppState, caller: Caller, locators: Sequence[DictionaryLocator] | None) -> dict[str, str]:
    """The entries of all dictionaries of a request.

    Raises:
        NotFound: as :func:`find`.
        InvalidRequest: they are too many.
    """
    words: dict[str, str] = {}
    field = "pronunciation_dictionary_locators"
    for number, locator in enumerate(locators or ()):
        name, version = locator.pronunciation_dictionary_id, locator.version_id
        document = await find(state, caller, name, version, within := f"{field}.{number}.")
        words = await entries_in(state, document, within) | words
    if len(words) > MAX_PRONUNCIATIONS:
        message = f"{field}: {len(words)} rules; a request may have {MAX_PRONUNCIATIONS}"
        raise InvalidRequest(message, param=field, code="too_many_rules")
    return words


def describe(
    document: Mapping[str, Any], *, entries: Mapping[str, str] | None = None, archived: int | None = None
) -> ElevenLabsDictionary:
    """A dictionary, with its rules or without."""
    name, count = document["id"], document["rules"]
    version = {"version_id": name, "latest_version_id": name, "archived_time_unix": archived}
    number = {"version_rules_num": count, "latest_version_rules_num": count}
    given = None if entries is None else [_rule(word, said) for word, said in entries.items()]
    return ElevenLabsDictionary.model_validate({**document, **version, **number, "rules": given})

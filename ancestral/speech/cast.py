"""Several voices in one text: who says which of its sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ancestral.catalog.mix import VoiceMix
from ancestral.errors import InvalidRequest, check_type
from ancestral.models.entries import Sampling
from ancestral.models.text import Script, Sentence, Word, phonemize
from ancestral.models.text.characters import NothingToSpeak, UnknownSpeaker, Unread, UnsupportedText
from ancestral.models.text.script import Cast, Speaker

MAX_NAMES: Final = 64
MAX_NAME_CHARACTERS: Final = 64
_NAME: Final = re.compile(r"[^\s\[\]:](?:[^\[\]:\r\n]*[^\s\[\]:])?")


@dataclass(frozen=True)
class Turn:
    """Sentences of one voice, up to the next turn."""

    first: int
    """The number of its first sentence."""
    speaker: str
    """What the text calls the voice: by a name of the request, or by an id."""
    voice: str
    """The canonical form of a voice or of a mix."""
    sampling: Sampling


def cast_of(
    find: Callable[[str], VoiceMix], default: VoiceMix, language: str, voices: Mapping[str, str], param: str = "voices"
) -> Cast:
    """Who can speak in a text: every voice, by its own name or by one of ``voices``.

    Args:
        find: a voice of the model by its id or an alias, or a mix; raises InvalidRequest.
        default: who speaks what nobody else is named for.
        language: of what the default voice says; every other one speaks its own.
        voices: names for the text, and their voices.
        param: the name of ``voices``, for errors.

    Raises:
        InvalidRequest: a name cannot be used, or there is no such voice.
    """
    if len(voices) > MAX_NAMES:
        raise InvalidRequest(f"{param}: at most {MAX_NAMES} names", param=param, code="invalid_value")
    named: dict[str, VoiceMix] = {}
    for name, voice in voices.items():
        if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
            message = (
                f"{param}: {name[:MAX_NAME_CHARACTERS]!r}: a name has up to {MAX_NAME_CHARACTERS} characters, none "
            )
            raise InvalidRequest(f"{message}of them a colon or a bracket", param=param, code="invalid_value")
        check_type(param, voice, str, "voices by their names")
        try:
            named[name] = find(voice)
        except InvalidRequest as error:
            reason = error.message.removeprefix("voice: ")
            raise InvalidRequest(f"{param}: {name}: {reason}", param=param, code=error.code) from error

    def speaker(name: str) -> Speaker:
        try:
            found = named.get(name) or find(name)
        except InvalidRequest as error:
            raise UnknownSpeaker(error.message.removeprefix("voice: ")) from error
        return Speaker(
            name if name in named else found.id,
            found.id,
            found.language,
            language if found.id == default.id else found.language,
        )

    return Cast(Speaker(default.id, default.id, default.language, language), speaker, tuple(named))


def spoken(script: Script, default: Speaker) -> list[tuple[Speaker, list[Sentence]]]:
    """What each speaker says in turn: at least one sentence, as if it were a text of its own.

    Raises:
        UnsupportedText: some of it cannot be spoken, or nothing is said. A turn of which all letters are of scripts
            that are not read is left out.
    """
    found: list[tuple[Speaker, list[Sentence]]] = []
    nothing: UnsupportedText | None = None
    for speaker, said, begin in script.turns(default):
        try:
            sentences = phonemize(said, speaker.language)
        except (NothingToSpeak, Unread) as error:  # the white space between two voices is a turn
            nothing = error if isinstance(error, Unread) else nothing or error
            continue
        found.append((speaker, [_moved(sentence, begin) for sentence in sentences]))
    if not found and nothing is not None:
        raise nothing
    return found


def _moved(sentence: Sentence, by: int) -> Sentence:
    """The sentence of a turn with the spans that it has in the whole text."""
    if not by:
        return sentence
    return Sentence(
        tuple(
            replace(item, span=(item.span[0] + by, item.span[1] + by)) if isinstance(item, Word) else item
            for item in sentence.items
        )
    )

"""SSML (W3C Speech Synthesis Markup Language 1.1), as far as the models can follow it.

``<speak>``, ``<p>``, ``<s>``, ``<lang>``, each with ``xml:lang``; ``<break time strength>``, ``<phoneme
alphabet="ipa|x-arpabet" ph>``, ``<prosody rate pitch>``, ``<say-as interpret-as format>``, ``<sub alias>``, ``<voice
name>``, which speaks its own language. Any other element or attribute is refused by name, and so are document types,
entities and processing instructions: nothing is expanded, nothing is fetched.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from xml.parsers import expat

from ancestral.models.text.characters import UnknownSpeaker, UnsupportedText
from ancestral.models.text.directives import read_directives
from ancestral.models.text.ipa import parse_phonemes
from ancestral.models.text.languages.registry import primary
from ancestral.models.text.phonemes import Prosody
from ancestral.models.text.pronunciations import Pronunciations
from ancestral.models.text.say_as import say_as
from ancestral.models.text.script import (
    MAX_RATE,
    MAX_SEMITONES,
    MIN_RATE,
    Cast,
    Pause,
    Piece,
    Pronounced,
    Script,
    Speaker,
    Text,
    pause_of,
)

MAX_DEPTH: Final = 32
MAX_CHARACTERS: Final = 1 << 20

_SPACE: Final = re.compile(r"\s+")
_TIME: Final = re.compile(r"\s*\+?([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})(ms|s)\s*")
_STRENGTHS: Final = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.8, "x-strong": 1.2}
"""Seconds."""
_ALPHABETS: Final = ("ipa", "x-arpabet")
_LANGUAGE: Final = "xml:lang"
_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "speak": frozenset({"version", "xmlns", "xmlns:xsi", "xsi:schemaLocation", _LANGUAGE}),
    "p": frozenset({_LANGUAGE}),
    "s": frozenset({_LANGUAGE}),
    "lang": frozenset({_LANGUAGE}),
    "break": frozenset({"time", "strength"}),
    "phoneme": frozenset({"alphabet", "ph"}),
    "prosody": frozenset({"rate", "pitch"}),
    "say-as": frozenset({"interpret-as", "format"}),
    "sub": frozenset({"alias"}),
    "voice": frozenset({"name"}),
}
_REQUIRED: Final = {"lang": _LANGUAGE, "phoneme": "ph", "say-as": "interpret-as", "sub": "alias", "voice": "name"}
_WHOLE: Final = frozenset({"phoneme", "say-as", "sub", "break"})
"""Elements without elements in them."""
_RATES: Final = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
_PITCHES: Final = {"x-low": -4.0, "low": -2.0, "medium": 0.0, "default": 0.0, "high": 2.0, "x-high": 4.0}
"""Semitones."""
_DECIMAL: Final = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_PERCENT: Final = re.compile(rf"([+-]?)({_DECIMAL})%")
_FACTOR: Final = re.compile(_DECIMAL)
_SEMITONES: Final = re.compile(rf"([+-])({_DECIMAL})st")
_LONGEST_NAMED: Final = 40


def read_ssml(document: str, lexicon: Pronunciations, cast: Cast) -> Script:
    """A document: one ``<speak>`` element. Its text is in the speakers' languages, unless it says otherwise.

    Raises:
        UnsupportedText: it is not well-formed, or says something that cannot be followed; the message names it.
    """
    if len(document) > MAX_CHARACTERS:
        raise UnsupportedText(f"SSML may take {MAX_CHARACTERS} characters, not {len(document)}")
    parser = expat.ParserCreate("utf-8")  # whatever encoding the document declares: it is text already
    reader = _Reader(parser, lexicon, cast)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuser("a document type (<!DOCTYPE>)")
    parser.EntityDeclHandler = _refuser("an entity declaration")
    parser.ExternalEntityRefHandler = _refuser("an external entity")
    parser.ProcessingInstructionHandler = _refuser("a processing instruction")
    try:
        parser.Parse(document.strip().encode(), True)
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        raise UnsupportedText(f"the SSML is not well-formed: {expat.ErrorString(error.code)} ({where})") from error
    except UnicodeEncodeError as error:
        raise UnsupportedText("the SSML contains an unpaired surrogate") from error
    return Script(tuple(reader.pieces)).check()


def _refuser(what: str) -> Callable[..., Any]:
    def refuse(*args: object) -> NoReturn:
        raise UnsupportedText(f"SSML may not have {what}")

    return refuse


@dataclass
class _Element:
    """An open element."""

    name: str
    attributes: Mapping[str, str]
    prosody: Prosody
    """Prosody of its content."""
    speaker: Speaker
    """Speaker of its content."""
    language: str
    """Language of its content."""
    content: list[str] = field(default_factory=list)
    """The text of an element of :data:`_WHOLE`."""


class _Reader:
    """The handlers of one document."""

    def __init__(self, parser: expat.XMLParserType, lexicon: Pronunciations, cast: Cast) -> None:
        self.pieces: list[Piece] = []
        self._parser, self._lexicon, self._cast = parser, lexicon, cast
        self._open: list[_Element] = []
        self._data: list[str] = []
        self._written = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._flush()
        if name not in _ATTRIBUTES:
            known = ", ".join(f"<{element}>" for element in _ATTRIBUTES)
            raise UnsupportedText(f"<{_shown(name)}> is not supported; SSML may have {known}")
        if (name == "speak") != (not self._open):
            raise UnsupportedText(f"<{name}>: SSML is one <speak> element, and there is no other in it")
        if len(self._open) >= MAX_DEPTH:
            raise UnsupportedText(f"<{name}>: elements may be nested {MAX_DEPTH} deep")
        if self._open and self._open[-1].name in _WHOLE:
            raise UnsupportedText(f"<{name}>: there may be no element in <{self._open[-1].name}>")
        self._check_attributes(name, attributes)
        if self._open:
            prosody, speaker, language = self._open[-1].prosody, self._open[-1].speaker, self._open[-1].language
        else:
            prosody, speaker = Prosody(), self._cast.default
            language = primary(speaker.text_language)
        if _LANGUAGE in attributes:
            language = _language(name, attributes[_LANGUAGE])
        if name == "prosody":
            prosody = _changed(prosody, attributes)
            self.pieces.append(prosody)
        elif name == "voice":
            speaker = self._speaker(attributes["name"])
            language = primary(speaker.text_language)
            self._turn(speaker, prosody)
        self._open.append(_Element(name, attributes, prosody, speaker, language))
        if name in ("p", "s"):
            self._plain("\n\n")

    def end(self, name: str) -> None:
        self._flush()
        element = self._open[-1]
        content = "".join(element.content)
        if name == "prosody":
            self.pieces.append(self._open[-2].prosody)
        elif name == "voice":
            self._turn(self._open[-2].speaker, self._open[-2].prosody)
        elif name in ("p", "s"):
            self._plain("\n\n")
        elif name == "break":
            self._break(element.attributes, content)
        elif name == "phoneme":
            self._phoneme(element.attributes, content)
        elif name == "sub":
            self._plain(content, element.attributes["alias"])
        elif name == "say-as":
            kind, form = element.attributes["interpret-as"], element.attributes.get("format")
            self.pieces += say_as(kind, form, content, element.language)
            self._written += len(content)
        self._open.pop()

    def text(self, data: str) -> None:
        """Text between tags, or a part of it."""
        self._data.append(data)

    def _flush(self) -> None:
        """Read the text before a tag. White space only separates words; paragraphs are elements."""
        data = _SPACE.sub(" ", "".join(self._data))
        self._data = []
        if not data:
            return
        if self._open[-1].name in _WHOLE:
            self._open[-1].content.append(data)
        else:
            self.pieces += read_directives(data, self._lexicon, self._written, self._open[-1].language)
            self._written += len(data)

    def _plain(self, written: str, spoken: str | None = None) -> None:
        language = self._open[-1].language
        self.pieces.append(Text(written if spoken is None else spoken, written, self._written, language))
        self._written += len(written)

    def _check_attributes(self, name: str, attributes: Mapping[str, str]) -> None:
        for attribute in attributes:
            if attribute not in _ATTRIBUTES[name]:
                known = ", ".join(sorted(_ATTRIBUTES[name]))
                raise UnsupportedText(f"<{name} {_shown(attribute)}> is not supported; <{name}> may have {known}")
        if (required := _REQUIRED.get(name)) is not None and required not in attributes:
            raise UnsupportedText(f"<{name}>: {required} is missing")

    def _speaker(self, name: str) -> Speaker:
        try:
            return self._cast.find(name.strip())
        except UnknownSpeaker as error:
            where = f"line {self._parser.CurrentLineNumber}, column {self._parser.CurrentColumnNumber + 1}"
            raise UnknownSpeaker(f"<voice name>: {_shown(name)!r} ({where}): {error}") from error

    def _turn(self, speaker: Speaker, prosody: Prosody) -> None:
        """Let another speaker begin, with the prosody around."""
        self.pieces.append(speaker)
        if prosody != Prosody():
            self.pieces.append(prosody)

    def _break(self, attributes: Mapping[str, str], content: str) -> None:
        if content.strip():
            raise UnsupportedText("<break>: there may be no text in it")
        if "time" in attributes:
            time = _TIME.fullmatch(attributes["time"])
            if time is None:
                raise UnsupportedText(f"<break time>: {_shown(attributes['time'])!r} is no time like 1.5s or 500ms")
            pause = pause_of(time[1], time[2], attributes["time"])
        else:
            strength = attributes.get("strength", "medium")
            if strength not in _STRENGTHS:
                raise UnsupportedText(f"<break strength>: {_shown(strength)!r} is none of {', '.join(_STRENGTHS)}")
            pause = Pause(_STRENGTHS[strength]) if _STRENGTHS[strength] else None
        if pause is not None:
            self.pieces.append(pause)

    def _phoneme(self, attributes: Mapping[str, str], content: str) -> None:
        alphabet, ph = attributes.get("alphabet", "ipa"), attributes["ph"]
        if alphabet not in _ALPHABETS:
            raise UnsupportedText(f"<phoneme alphabet>: {_shown(alphabet)!r} is none of {', '.join(_ALPHABETS)}")
        try:
            words = parse_phonemes(ph, alphabet, self._open[-1].language)
        except UnsupportedText as error:
            raise UnsupportedText(f"<phoneme ph>: {error}") from error
        written = content if content.strip() else ph
        texts = written.split()
        if len(texts) != len(words):
            texts = [written.strip()] * len(words)
        self.pieces.append(Pronounced(written, tuple(zip(texts, words, strict=True))))
        self._written += len(written)


def _language(name: str, tag: str) -> str:
    try:
        return primary(tag)
    except UnsupportedText as error:
        raise UnsupportedText(f"<{name} {_LANGUAGE}>: {error}") from error


def _changed(prosody: Prosody, attributes: Mapping[str, str]) -> Prosody:
    """The prosody in a ``<prosody>`` element, from that around it.

    Raises:
        UnsupportedText: a value cannot be followed, or goes too far together with those around it.
    """
    rate = round(prosody.rate * _parse_rate(attributes.get("rate", "medium")), 3)
    semitones = round(prosody.semitones + _parse_pitch(attributes.get("pitch", "medium")), 3)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UnsupportedText(f"<prosody rate>: {rate:g} times the speed; it must lie in {MIN_RATE:g} … {MAX_RATE:g}")
    if abs(semitones) > MAX_SEMITONES:
        raise UnsupportedText(f"<prosody pitch>: {semitones:+g} semitones; at most {MAX_SEMITONES:g} up or down")
    return Prosody(rate, semitones)


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_NAMED else f"{text[:_LONGEST_NAMED]}…"


def _parse_rate(text: str) -> float:
    """A label, a factor, a percentage of the speed around it (``80%``), or a change of it (``-20%``).

    Raises:
        UnsupportedText: it is none of them.
    """
    text = text.strip()
    if text in _RATES:
        return _RATES[text]
    if percent := _PERCENT.fullmatch(text):
        return _relative(percent) if percent[1] else float(percent[2]) / 100.0
    if _FACTOR.fullmatch(text):
        return float(text)
    labels = ", ".join(_RATES)
    raise UnsupportedText(f"<prosody rate>: {text[:_LONGEST_NAMED]!r} is none of {labels}, or a value like 80% or -20%")


def _parse_pitch(text: str) -> float:
    """A label, or a change in semitones (``+2st``) or per cent of the frequency (``-10%``), as semitones.

    Raises:
        UnsupportedText: it is none of them; frequencies in hertz are not supported.
    """
    text = text.strip()
    if text in _PITCHES:
        return _PITCHES[text]
    if semitones := _SEMITONES.fullmatch(text):
        return float(semitones[1] + semitones[2])
    if (percent := _PERCENT.fullmatch(text)) and percent[1] and (factor := _relative(percent)) > 0.0:
        return 12.0 * math.log2(factor)
    labels = ", ".join(_PITCHES)
    message = f"<prosody pitch>: {text[:_LONGEST_NAMED]!r} is none of {labels}, or a change like +2st or -10%"
    raise UnsupportedText(message)


def _relative(percent: re.Match[str]) -> float:
    return 1.0 + float(percent[1] + percent[2]) / 100.0

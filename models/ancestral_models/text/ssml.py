"""Marked text: SSML with its <say-as>, and directives such as [slowly] in plain text."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from ancestral_models.text import script
from ancestral_models.text.characters import AND, ENGLISH, UnknownSpeaker, UnsupportedText, refuse_tags, shown
from ancestral_models.text.g2p import letter_name
from ancestral_models.text.languages.engine import CHARACTERS, DIGITS, FRACTION, TELEPHONE, engine
from ancestral_models.text.languages.language import language_table, primary
from ancestral_models.text.numerals import CURRENCIES, UNITS, cardinal, digits, fraction, number, ordinal
from ancestral_models.text.phonemes import Prosody
from ancestral_models.text.pronunciations import Pronunciations, XmlReader, parse_phonemes
from ancestral_models.text.script import TAG
from ancestral_models.text.tables import table

# SSML's ``<say-as interpret-as>``: the kinds of text that the front-end can read.

_WHOLE_NUMBER: Final = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,64}"
_NUMBER: Final = re.compile(rf"(-?)((?:{_WHOLE_NUMBER})(?:\.[0-9]{{1,64}})?|\.[0-9]{{1,64}})")
_ORDINAL: Final = re.compile(rf"({_WHOLE_NUMBER})(?:st|nd|rd|th)?")
_CURRENCY: Final = re.compile(rf"[{''.join(CURRENCIES)}]\s?(?:{_WHOLE_NUMBER})(?:\.[0-9]{{1,9}})?")
_CLOCK_TIME: Final = re.compile(
    r"(?:[01]?[0-9]|2[0-4])(?::[0-5][0-9]){1,2}(?:\s*[ap]\.?m\.?)?|(?:0?[0-9]|1[0-2])\s*[ap]\.?m\.?", re.IGNORECASE
)
_UNIT: Final = re.compile(rf"-?(?:{_WHOLE_NUMBER})(?:\.[0-9]{{1,9}})?\s*(\S+)")
_DATE_PART: Final = r"([0-9]{1,4})"
_DATE_ORDERS: Final = ("mdy", "dmy", "ymd")
_LARGEST: Final = {"m": 12, "d": 31, "y": 9999}
_SIGNS: Final = table("english").entries("spelled_signs")


def say_as(kind: str, form: str | None, content: str, language: str) -> list[script.Piece]:
    """The pieces of a ``<say-as>`` element.

    Args:
        kind: its ``interpret-as``.
        form: its ``format``, for dates and times.
        content: its text.
        language: that of its text.

    Raises:
        UnsupportedText: the kind or the format is not supported, or the text is not of the kind.
    """
    if kind not in _KINDS:
        raise UnsupportedText(f"<say-as interpret-as>: {shown(kind)!r} is none of {', '.join(_KINDS)}")
    forms = _FORMATS.get(kind, ())
    if form is not None and form not in forms:
        known = f"is none of {', '.join(forms)}" if forms else f"is not used by {kind}"
        raise UnsupportedText(f"<say-as format>: {shown(form)!r} {known}")
    text = content.strip()
    if kind in CHARACTERS and language == ENGLISH.language:
        pieces = list(_characters(text))
    else:
        kinds = _KINDS if language == ENGLISH.language else engine(language_table(language)).saying.kinds
        order = form or ("ymd" if re.match(r"[0-9]{4}\D", text) else "mdy" if kinds is _KINDS else "dmy")
        spoken = _date(text, order) if kind == "date" else kinds[kind](text)
        pieces = (
            [] if spoken is None else [script.Text(f" {spoken.replace(AND, ' and ')} ", content, language=language)]
        )
    if not pieces:
        raise UnsupportedText(f"<say-as interpret-as={kind!r}>: cannot read {shown(content)!r} as that")
    return pieces


def _characters(text: str) -> Iterator[script.Piece]:
    """Letters and digits by their names, one after the other."""
    for char in text:
        plain = unicodedata.normalize("NFKD", char)[0]
        if plain.isascii() and plain.isalpha():
            yield script.Pronounced(char, ((plain.upper(), letter_name(plain)),))
        elif plain.isascii() and plain.isdigit():
            yield script.Text(f" {digits(plain)} ", char)
        else:
            yield script.Text(f" {_SIGNS.get(plain, char)} ", char)


def _cardinal(text: str) -> str | None:
    found = _NUMBER.fullmatch(text)
    return None if found is None else f"{'minus ' if found[1] else ''}{number(found[2])}"


def _telephone(text: str) -> str | None:
    if not TELEPHONE.fullmatch(text):
        return None
    return ("plus " if text[0] == "+" else "") + " , ".join(digits(group) for group in re.findall(r"[0-9]+", text))


def _fraction(text: str) -> str | None:
    found = FRACTION.fullmatch(text)
    if found is None:
        return None
    return (f"{cardinal(found[1])} and " if found[1] else "") + fraction(found[2], found[3])


def _if(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    """What the front-end reads by itself, where it is written as it expects."""
    return lambda text: text if pattern.fullmatch(text) else None


def _unit(text: str) -> str | None:
    found = _UNIT.fullmatch(text)
    return text if found is not None and found[1] in UNITS else None


def _date(text: str, order: str) -> str | None:
    """A date in figures, in an order of its parts, as ISO 8601 has it."""
    found = re.fullmatch(r"\D{1,3}".join([_DATE_PART] * len(order)), text)
    if found is None:
        return None
    parts = dict(zip(order, map(int, found.groups()), strict=True))
    if any(not 0 < value <= _LARGEST[part] for part, value in parts.items()):
        return None
    return f"{parts['y']:04d}-{parts['m']:02d}-{parts['d']:02d}"


_KINDS: Final[Mapping[str, Callable[[str], str | None]]] = {
    **dict.fromkeys(CHARACTERS, str),
    "cardinal": _cardinal,
    "number": _cardinal,
    "ordinal": lambda text: ordinal(found[1]) if (found := _ORDINAL.fullmatch(text)) else None,
    "digits": lambda text: digits(text) if DIGITS.fullmatch(text) else None,
    "telephone": _telephone,
    "fraction": _fraction,
    "date": str,
    "time": _if(_CLOCK_TIME),
    "currency": _if(_CURRENCY),
    "unit": _unit,
}
_FORMATS: Final = {"date": _DATE_ORDERS, "time": ("hms12", "hms24")}


# What plain text can say about how it is read: phonemes (``[[ … ]]``), pauses (``[pause:1.5s]``), voices
# (``[voice:joe]``, or a name of the cast and a colon at the beginning of a line), how it is said (``[whispers]``, see
# script.py), a lexicon.
#
# Anything else that looks like one of them is refused: it is an instruction, and reading it aloud is not what its
# writer wanted.

_VOICE: Final = r"(?i:\[voice:(?P<voice>[^\[\]]*)\])"
_DIRECTIVE: Final = re.compile(
    rf"\[\[(?P<phonemes>[^\[\]]*)\]\]|\[\[|\[pause:(?P<pause>[^\[\]]*)\]|\[pause:|{_VOICE}|\[voice:|{TAG.pattern}",
    re.IGNORECASE,
)
_SECONDS: Final = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})\s*(ms|s)\s*", re.IGNORECASE)
_OPEN: Final = re.compile(
    r"\[(?:\[[^\[\]]*\]?|p?|pa|pau|paus|pause|pause:[^\[\]]*|v|vo|voi|voic|voice|voice:[^\[\]]*|[a-z][a-z -]{0,15})$",
    re.IGNORECASE,
)
_LONGEST_OPEN: Final = 300


def read_plain(text: str, lexicon: Pronunciations, cast: script.Cast) -> script.Script:
    """Plain text with its directives.

    Raises:
        UnsupportedText: it has a tag, or a directive that cannot be followed; the message shows it.
    """
    refuse_tags(text)
    pieces: list[script.Piece] = []
    speaker, at = cast.default, 0
    for match in voice_changes(text, cast.names):
        pieces += read_directives(text[at : match.start()], lexicon, at, primary(speaker.text_language))
        try:
            speaker, at = cast.find(voice_named(match)), match.end()
        except UnknownSpeaker as error:
            raise UnknownSpeaker(f"{shown(match[0])!r} (a voice, at position {match.start()}): {error}") from error
        pieces.append(speaker)
    pieces += read_directives(text[at:], lexicon, at, primary(speaker.text_language))
    return script.Script(tuple(pieces)).check()


def voice_changes(text: str, names: tuple[str, ...], *, begins_line: bool = True) -> list[re.Match[str]]:
    """Where another voice begins: a directive, or one of the names and a colon at the beginning of a line.

    Args:
        text: without tags.
        names: of the cast.
        begins_line: whether the text itself does.
    """
    if not names and "[" not in text:  # as almost always; a session asks with every piece of text
        return []
    before = "" if begins_line else r"(?<=\n)"
    named = rf"(?m:^){before}[ \t]*(?P<name>{'|'.join(map(re.escape, names))}):[ \t]*|" if names else "(?P<name>(?!))|"
    return list(re.finditer(named + _VOICE, text))


def voice_named(match: re.Match[str]) -> str:
    """The name in one of :func:`voice_changes`."""
    return (match["name"] or match["voice"]).strip()


def ends_in_open_directive(text: str) -> bool:
    """Whether a directive begins in `text` that later text may complete."""
    return _OPEN.search(text, max(0, len(text) - _LONGEST_OPEN)) is not None


def read_directives(text: str, lexicon: Pronunciations, start: int, language: str) -> Iterator[script.Piece]:
    """The pieces of a text.

    Args:
        text: without tags.
        lexicon: words that are read otherwise.
        start: the position of the text in the input.
        language: its primary language.

    Raises:
        UnsupportedText: a directive cannot be followed; the message shows it.
    """
    at, tags, said = 0, Prosody(), False
    for match in _DIRECTIVE.finditer(text):
        between = text[at : match.start()]
        yield from _with_lexicon(between, lexicon, start + at, language)
        piece, at = _directive(match, start + match.start(), language), match.end()
        said = said or bool(between.strip()) or isinstance(piece, script.Pronounced)
        if isinstance(piece, Prosody):  # tags that stand together add up; [normal] takes all of them back
            piece = tags = piece if said or piece == Prosody() else tags.beside(piece)
            said = False
        if piece is not None:
            yield piece
    yield from _with_lexicon(text[at:], lexicon, start + at, language)


def _directive(match: re.Match[str], start: int, language: str) -> script.Piece | None:
    tag = shown(match[0])
    if match["phonemes"] is not None:
        written = match["phonemes"].strip()
        try:
            words = parse_phonemes(written, language=language)
        except UnsupportedText as error:
            raise UnsupportedText(f"{tag!r} (phonemes, at position {start}): {error}") from error
        texts = written.split() if len(words) > 1 else [written]
        return script.Pronounced(written, tuple(zip(texts, words, strict=True)))
    if match["delivery"] is not None:
        return script.delivery_of(match)
    if match["voice"] is not None:  # plain text has none left
        raise UnsupportedText(f"{tag!r} (at position {start}): SSML names a voice by <voice name>")
    seconds = _SECONDS.fullmatch(match["pause"] or "")
    if seconds is None:
        fault = "is incomplete" if match["pause"] is None else "has no length from 0 s"
        form = "phonemes are written [[HH AH0 L OW1]], pauses [pause:1.5s], voices [voice:joe]"
        raise UnsupportedText(f"{tag!r} (at position {start}) {fault}: {form}")
    return script.pause_of(seconds[1], seconds[2], tag)


def _with_lexicon(text: str, lexicon: Pronunciations, start: int, language: str) -> Iterator[script.Piece]:
    at = 0
    for match in lexicon.matches(text, language):
        if match.start > at:
            yield script.Text(text[at : match.start], text[at : match.start], start + at, language)
        written = text[match.start : match.end]
        if isinstance(match.said, str):
            yield script.Text(match.said, written, start + match.start, language, match.entry)
        else:
            yield script.Pronounced(written, tuple((written, phones) for phones in match.said), match.entry)
        at = match.end
    if at < len(text):
        yield script.Text(text[at:], text[at:], start + at, language)


# SSML (W3C Speech Synthesis Markup Language 1.1), as far as the models can follow it.
#
# ``<speak>``, ``<p>``, ``<s>``, ``<lang>``, each with ``xml:lang``; ``<break time strength>``, ``<phoneme
# alphabet="ipa|x-arpabet" ph>``, ``<prosody rate pitch volume>``, ``<emphasis level>``, ``<say-as interpret-as
# format>``, ``<sub alias>``, ``<voice name>``, which speaks its own language. Any other element or attribute is refused
# by name, and so are document types, entities and processing instructions: nothing is expanded, nothing is fetched.

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
    "prosody": frozenset({"rate", "pitch", "volume"}),
    "emphasis": frozenset({"level"}),
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
_VOLUMES: Final = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 4.0, "x-loud": 6.0}
"""Decibels."""
_EMPHASES: Final = {
    "strong": Prosody(0.85, 1.0, 3.0), "moderate": Prosody(0.9, 0.5, 2.0), "none": Prosody(),
    "reduced": Prosody(1.1, -0.5, -2.0),
}  # fmt: skip
_DECIMAL: Final = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_PERCENT: Final = re.compile(rf"([+-]?)({_DECIMAL})%")
_FACTOR: Final = re.compile(_DECIMAL)
_SEMITONES: Final = re.compile(rf"([+-])({_DECIMAL})st")
_DECIBELS: Final = re.compile(rf"([+-])({_DECIMAL})dB")


def read_ssml(document: str, lexicon: Pronunciations, cast: script.Cast) -> script.Script:
    """A document: one ``<speak>`` element. Its text is in the speakers' languages, unless it says otherwise.

    Raises:
        UnsupportedText: it is not well-formed, or says something that cannot be followed; the message names it.
    """
    if len(document) > MAX_CHARACTERS:
        raise UnsupportedText(f"SSML may take {MAX_CHARACTERS} characters, not {len(document)}")
    reader = _Reader(lexicon, cast)
    reader.read(document.strip())
    return script.Script(tuple(reader.pieces)).check()


@dataclass
class _Element:
    """An open element."""

    name: str
    attributes: Mapping[str, str]
    prosody: Prosody
    """Prosody of its content."""
    speaker: script.Speaker
    """Speaker of its content."""
    language: str
    """Language of its content."""
    content: list[str] = field(default_factory=list)
    """The text of an element of :data:`_WHOLE`."""


class _Reader(XmlReader):
    def __init__(self, lexicon: Pronunciations, cast: script.Cast) -> None:
        super().__init__("SSML")
        self.pieces: list[script.Piece] = []
        self._lexicon, self._cast = lexicon, cast
        self._open: list[_Element] = []
        self._tagged = Prosody()
        self._written = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._flush()
        if name not in _ATTRIBUTES:
            known = ", ".join(f"<{element}>" for element in _ATTRIBUTES)
            raise UnsupportedText(f"<{shown(name)}> is not supported; SSML may have {known}")
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
        if name in _PROSODIES:
            prosody = script.check_prosody(prosody.beside(_PROSODIES[name](attributes)), f"<{name}>")
            self.pieces.append(prosody.beside(self._tagged))
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
        if name in _PROSODIES:
            self.pieces.append(self._open[-2].prosody.beside(self._tagged))
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

    def _flush(self) -> None:
        """Read the text before a tag. White space only separates words; paragraphs are elements."""
        data = _SPACE.sub(" ", "".join(self._data))
        self._data = []
        if not data:
            return
        if self._open[-1].name in _WHOLE:
            self._open[-1].content.append(data)
        else:
            for piece in read_directives(data, self._lexicon, self._written, self._open[-1].language):
                if isinstance(piece, Prosody):
                    self._tagged, piece = piece, self._open[-1].prosody.beside(piece)
                self.pieces.append(piece)
            self._written += len(data)

    def _plain(self, written: str, spoken: str | None = None) -> None:
        language = self._open[-1].language
        self.pieces.append(script.Text(written if spoken is None else spoken, written, self._written, language))
        self._written += len(written)

    def _check_attributes(self, name: str, attributes: Mapping[str, str]) -> None:
        for attribute in attributes:
            if attribute not in _ATTRIBUTES[name]:
                known = ", ".join(sorted(_ATTRIBUTES[name]))
                raise UnsupportedText(f"<{name} {shown(attribute)}> is not supported; <{name}> may have {known}")
        if (required := _REQUIRED.get(name)) is not None and required not in attributes:
            raise UnsupportedText(f"<{name}>: {required} is missing")

    def _speaker(self, name: str) -> script.Speaker:
        try:
            return self._cast.find(name.strip())
        except UnknownSpeaker as error:
            where = f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}"
            raise UnknownSpeaker(f"<voice name>: {shown(name)!r} ({where}): {error}") from error

    def _turn(self, speaker: script.Speaker, prosody: Prosody) -> None:
        """Let another speaker begin, with the prosody around, without that of a tag."""
        self._tagged = Prosody()
        self.pieces.append(speaker)
        if prosody != Prosody():
            self.pieces.append(prosody)

    def _break(self, attributes: Mapping[str, str], content: str) -> None:
        if content.strip():
            raise UnsupportedText("<break>: there may be no text in it")
        if "time" in attributes:
            time = _TIME.fullmatch(attributes["time"])
            if time is None:
                raise UnsupportedText(f"<break time>: {shown(attributes['time'])!r} is no time like 1.5s or 500ms")
            pause = script.pause_of(time[1], time[2], attributes["time"])
        else:
            strength = attributes.get("strength", "medium")
            if strength not in _STRENGTHS:
                raise UnsupportedText(f"<break strength>: {shown(strength)!r} is none of {', '.join(_STRENGTHS)}")
            pause = script.Pause(_STRENGTHS[strength]) if _STRENGTHS[strength] else None
        if pause is not None:
            self.pieces.append(pause)

    def _phoneme(self, attributes: Mapping[str, str], content: str) -> None:
        alphabet, ph = attributes.get("alphabet", "ipa"), attributes["ph"]
        if alphabet not in _ALPHABETS:
            raise UnsupportedText(f"<phoneme alphabet>: {shown(alphabet)!r} is none of {', '.join(_ALPHABETS)}")
        try:
            words = parse_phonemes(ph, alphabet, self._open[-1].language)
        except UnsupportedText as error:
            raise UnsupportedText(f"<phoneme ph>: {error}") from error
        written = content if content.strip() else ph
        texts = written.split()
        if len(texts) != len(words):
            texts = [written.strip()] * len(words)
        self.pieces.append(script.Pronounced(written, tuple(zip(texts, words, strict=True))))
        self._written += len(written)


def _language(name: str, tag: str) -> str:
    try:
        return primary(tag)
    except UnsupportedText as error:
        raise UnsupportedText(f"<{name} {_LANGUAGE}>: {error}") from error


def _prosody(attributes: Mapping[str, str]) -> Prosody:
    """The change that a ``<prosody>`` element says.

    Raises:
        UnsupportedText: a value cannot be followed.
    """

    def parsed(name: str, labels: Mapping[str, float], read: Callable[[str], float | None], form: str) -> float:
        text = attributes.get(name, "medium").strip()
        found = labels.get(text, read(text))
        if found is None:
            message = f"<prosody {name}>: {shown(text)!r} is none of {', '.join(labels)}, or {form}"
            raise UnsupportedText(message)
        return found

    return Prosody(
        parsed("rate", _RATES, _parse_rate, "a value like 80% or -20%"),
        parsed("pitch", _PITCHES, _parse_pitch, "a change like +2st or -10%"),
        parsed("volume", _VOLUMES, _parse_volume, "a change like +6dB"),
    )


def _emphasis(attributes: Mapping[str, str]) -> Prosody:
    level = attributes.get("level", "moderate").strip()
    if level not in _EMPHASES:
        raise UnsupportedText(f"<emphasis level>: {shown(level)!r} is none of {', '.join(_EMPHASES)}")
    return _EMPHASES[level]


_PROSODIES: Final = {"prosody": _prosody, "emphasis": _emphasis}


def _parse_rate(text: str) -> float | None:
    """A factor, a percentage of the speed around it (``80%``), or a change of it (``-20%``)."""
    if percent := _PERCENT.fullmatch(text):
        return _relative(percent) if percent[1] else float(percent[2]) / 100.0
    return float(text) if _FACTOR.fullmatch(text) else None


def _parse_pitch(text: str) -> float | None:
    """A change in semitones (``+2st``) or per cent of the frequency (``-10%``), as semitones."""
    if semitones := _SEMITONES.fullmatch(text):
        return float(semitones[1] + semitones[2])
    if (percent := _PERCENT.fullmatch(text)) and percent[1] and (factor := _relative(percent)) > 0.0:
        return 12.0 * math.log2(factor)
    return None


def _parse_volume(text: str) -> float | None:
    """A change in decibels (``+6dB``)."""
    return float(decibels[1] + decibels[2]) if (decibels := _DECIBELS.fullmatch(text)) else None


def _relative(percent: re.Match[str]) -> float:
    return 1.0 + float(percent[1] + percent[2]) / 100.0

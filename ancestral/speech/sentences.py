"""Splits text that arrives in pieces: which part of it is complete sentences, whatever follows.

The text front-end defines what a sentence is. A position is a boundary if normalising the text before and after it
separately gives the same words and marks as normalising it as a whole, so that a text that is split there is spoken as
if it had arrived in one piece. If only white space follows a mark, this must hold for anything that may follow, which a
few continuations represent. Where it does not ("Dr. ", "5 p.m. ", "Well... "), the next word decides.

A clause of an incomplete sentence can be cut off at a comma, semicolon, colon or dash that is followed by a word, if
the two parts are read as the whole is. It is spoken as a clause that goes on, though not with the very samples that it
has in its sentence.

Each voice's part is a text of its own: what stands before another voice is complete. Who speaks at its beginning, and
the tags that hold there, are :attr:`Sentences.lead`.

Known limit: a mark on its own after a sentence that was already complete ("Really. ?") arrives too late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Final

from ancestral.requests import MAX_INPUT_CHARACTERS
from ancestral_models.text.characters import ENGLISH, NothingToSpeak, UnknownSpeaker, UnsupportedText, ends_in_open_tag
from ancestral_models.text.frontend import normalize
from ancestral_models.text.languages.language import language_table, primary
from ancestral_models.text.markdown import read_markdown
from ancestral_models.text.phonemes import Prosody
from ancestral_models.text.script import TAG, Cast, Cue, delivery_of
from ancestral_models.text.ssml import ends_in_open_directive, voice_changes, voice_named

_DOCUMENT_END: Final = re.compile(r"</speak\s*>")


class Documents:
    """Takes pieces of SSML, returns complete documents. Has the interface of :class:`Sentences`."""

    def __init__(self, pending: str = "") -> None:
        self.pending = pending
        """A document that is not complete yet."""

    def ends(self, text: str) -> Iterator[int]:
        """Where the documents in a text end."""
        return (match.end() for match in _DOCUMENT_END.finditer(text))

    def feed(self, text: str) -> str:
        """Add a piece of text.

        Returns:
            Everything up to the end of the last document; may be empty.
        """
        self.pending += text
        *_, end = 0, *self.ends(self.pending)
        complete, self.pending = self.pending[:end], self.pending[end:]
        return complete

    def flush(self) -> str:
        """The remaining text, complete or not."""
        rest, self.pending = self.pending, ""
        return rest

    lead = ""
    """A document ends with the voice that it began with."""

    def with_lead(self, lead: str, text: str) -> str:
        """:func:`with_lead`, of complete text."""
        return lead + text

    @property
    def says_nothing(self) -> bool:
        return not self.pending.strip()

    def first(self, complete: str) -> tuple[str, str]:
        """What of a complete text is spoken as one utterance, a document, and what is left."""
        end = next(self.ends(complete), len(complete))
        return complete[:end], complete[end:]

    def clause(self, least: int) -> str:
        """Nothing: a document is spoken when it has ended."""
        return ""

    seems_complete = is_certain = False
    """A document that has ended is not pending any more."""


_MARKER: Final = r"(?:[-*+]|\d{1,9}[.)])[ \t]+"
_FENCE: Final = re.compile(rf"[ \t]*(?:{_MARKER})*(?:(`{{3,}})[^`\n]*|(~{{3,}}).*)\n")
_GOES_ON: Final = re.compile(rf"^(?:[ \t]*{_MARKER}| {{4}}|\t)", re.MULTILINE)
"""In a list, and in code without fences, empty lines may stand before what is indented."""


class Blocks(Documents):
    """Takes pieces of Markdown, returns headings, and everything up to an empty line that is not in code. A block
    without words is part of the next one."""

    def __init__(self, pending: str, cast: Cast, lead: str = "") -> None:
        super().__init__(pending)
        self._cast, self.lead = cast, lead
        """The lead says, before the incomplete text, who speaks it and which tags hold."""
        self._tested = 0
        """What of the incomplete text has no words; it ends outside of code."""
        self._read = 0
        """Lines of the incomplete text that end before this have been read."""
        self._fence = ""
        """What began the code that is not complete yet."""

    def ends(self, text: str) -> Iterator[int]:
        while end := text.find("\n", self._read) + 1:
            begin = self._read
            is_empty = not self._fence and not text[begin:end].strip()
            if is_empty and _GOES_ON.search(text, self._tested, end):
                if end == len(text):
                    return
                is_empty = not text[end].isspace()
            self._read = end
            fence = _FENCE.fullmatch(text, begin, end)
            mark = fence[1] or fence[2] if fence else ""
            if not self._fence:
                self._fence = mark
            elif mark.startswith(self._fence) and text[begin:end].strip() == mark:
                self._fence = ""
            if is_empty or (not self._fence and text[begin] == "#"):
                has_words, self._tested = self._has_words(text[self._tested : end]), end
                if has_words:
                    yield end

    def feed(self, text: str) -> str:
        return self._completed(super().feed(text))

    def flush(self) -> str:
        self._fence = ""
        return self._completed(super().flush())

    def _completed(self, text: str) -> str:
        self._tested, self._read = max(0, self._tested - len(text)), max(0, self._read - len(text))
        self.lead = self._lead_after(self.lead, text)
        return text

    def first(self, complete: str) -> tuple[str, str]:
        block, rest = Documents.first(Blocks("", self._cast), complete)
        return block, rest and self.with_lead(self._lead_after("", block), rest)

    def with_lead(self, lead: str, text: str) -> str:
        said = read_markdown(Documents.first(Blocks("", self._cast), text)[0])[0]
        return with_lead(lead, said, self._cast).removesuffix(said) + text

    def _lead_after(self, lead: str, markdown: str) -> str:
        """As :func:`lead_after`, in a block of its own."""
        if not markdown:
            return lead
        found = lead_after(lead, f"{read_markdown(markdown)[0]}\n", self._cast)
        return found and f"{found.rstrip()}\n\n"

    @property
    def says_nothing(self) -> bool:
        return not self._has_words(self.pending)

    def _has_words(self, markdown: str) -> bool:
        """Whether anything is said: neither who speaks nor a tag is."""
        text = read_markdown(markdown)[0]
        for change in reversed(voice_changes(text, self._cast.names)):
            text = text[: change.start()] + text[change.end() :]
        return re.search(r"\w", _CUE.sub(lambda cue: cue[0] if cue[0].startswith("[[") else "", text)) is not None


_PLACE: Final = re.compile(
    # Marks with closing quotes and brackets; the end of a paragraph; the start of a list item.
    r"(?<![.?!…।॥])[.?!…।॥]+[\"'”’)\]]*\s+|\n[ \t]*(?:\n\s*|(?=[-*#>]\s|\d+[.)]\s))"
)
# With the numbers before it: how a number is read may depend on it.
_NEXT_WORD: Final = re.compile(r"\s*(?:[^\w\s]+\s+|[^\d\s]*\d\S*\s+)*[^\w\s]*[^\W\d][^\d\s]*\s")
_CLAUSE: Final = re.compile(r"[,;:—][\"'”’]*\s+")
_END: Final = re.compile(r"[.?!…।॥][\"'”’)\]]*\s*\Z")
_CONTINUATIONS: Final = ("the man ", "The man ", "Smith came ", "5 men ", "2020 came ", "A man ", "B. Smith ")
"""English words; other languages have a conjunction of theirs in place of other words."""
_PLACES_TRIED: Final = 3
_MOST_PLACES: Final = 64
_CONTEXT: Final = 100
"""Characters before a position that are considered; the front-end looks back over fewer."""


@cache
def _continuations(language: str) -> tuple[str, ...]:
    if language == ENGLISH.language:
        return _CONTINUATIONS
    word = min(language_table(language).conjunctions)
    return (*(f"{first} {word} " for first in (word, word.capitalize(), "Smith", "5", "2020")), "B. Smith ")


def _changes(lead: str, text: str, cast: Cast) -> list[re.Match[str]]:
    return voice_changes(text, cast.names, begins_line=not lead or lead.endswith("\n"))


_CUE: Final = re.compile(rf"\[\[[^\[\]]*\]\]|\[pause:[^\[\]]*\]|{TAG.pattern}", re.IGNORECASE)


def _tags(text: str) -> tuple[bool, str | None]:
    """Whether a tag stands before the first word of what one voice says; and the tags that hold at its end, which stand
    together, or None if it has no tag. Tags that change nothing are no tags here."""
    begins, held, said, at = False, None, False, 0
    for cue in _CUE.finditer(text):
        said = said or cue[0].startswith("[[") or bool(text[at : cue.start()].strip())
        at = cue.end()
        if cue["delivery"] is not None and isinstance(delivery := delivery_of(cue), Prosody):
            begins = begins or (not said and held is None)
            held = "" if delivery == Prosody() else cue[0] if said else f"{held or ''}{cue[0]}"
            said = False
    return begins, held


def lead_after(lead: str, text: str, cast: Cast) -> str:
    """What says, before the text after this one, who speaks it, which tags hold and whether it begins a line.

    Args:
        lead: before this text; empty at the beginning.
        text: that was spoken.
        cast: who can speak in it.
    """
    if not text:
        return lead
    changes = _changes(lead, text, cast)
    named = [*voice_changes(lead, ()), *changes]
    voice = voice_named(named[-1]) if named else cast.default.voice if cast.names else ""
    tags = _tags(text[changes[-1].end() :] if changes else text)[1]
    if tags is None:
        tags = "" if changes else "".join(tag[0] for tag in TAG.finditer(lead))
    line_end = "\n" if text.rstrip(" \t").endswith("\n") else ""
    return f"[voice:{voice}]{tags}{line_end}" if voice else tags


def with_lead(lead: str, text: str, cast: Cast) -> str:
    """A text with what says who speaks it and how, unless it begins with another voice, or other tags, itself."""
    changes = _changes(lead, text, cast)
    if changes and not text[: changes[0].start()].strip():
        return text
    return (TAG.sub("", lead) if _tags(text)[0] else lead) + text


PIECE_CHARACTERS: Final = 1000
"""About a minute of sound."""


def pieces_of(
    text: str, cast: Cast, lead: str = "", most: int = MAX_INPUT_CHARACTERS
) -> Iterator[tuple[str, str, int]]:
    """A text, cut between sentences where it is long: what :func:`with_lead` puts before each piece, the piece, and
    where it begins. Of a sentence at most ``most`` characters are in one."""
    begin = 0
    while len(text) > PIECE_CHARACTERS:
        longest = max(PIECE_CHARACTERS, most - len(lead))
        pieces = (Sentences("", cast, lead).feed(text[:size]) for size in (PIECE_CHARACTERS, longest))
        piece = next(filter(None, pieces), "")
        if not piece and len(text) <= longest:
            break
        piece = piece or text[: text.rfind(" ", 1, longest) + 1 or longest]
        yield lead, piece, begin
        text, lead, begin = text[len(piece) :], lead_after(lead, piece, cast), begin + len(piece)
    if text:
        yield lead, text, begin


_ENGLISH_VOICE: Final = Cast.of_one(ENGLISH.language)


class Sentences:
    """Takes pieces of a text, returns complete sentences.

    Args:
        pending: text that is not complete yet.
        cast: who can speak in it.
        lead: from an earlier :attr:`lead`; empty at the beginning of a text.
    """

    def __init__(self, pending: str = "", cast: Cast = _ENGLISH_VOICE, lead: str = "") -> None:
        self._cast = cast
        self.pending = pending
        """Text that is not complete yet."""
        self.lead = lead
        """What says, before the incomplete text, who speaks it, which tags hold and whether it begins a line."""
        self._decided = 0
        """Positions before this one are no boundaries."""
        self._tried = -1
        """Positions up to this one are undecided until the next word arrives."""

    def feed(self, text: str) -> str:
        """Add a piece of text.

        Returns:
            Everything up to the last boundary; may be empty.
        """
        self.pending += text
        change = self._changes[-1].start() if self._changes else 0
        if self._says_nothing(change):
            change = 0
        return self._cut(max(change, self._last_boundary()))

    @property
    def _changes(self) -> list[re.Match[str]]:
        """Where another voice begins in the incomplete text."""
        return _changes(self.lead, self.pending, self._cast)

    @property
    def _language(self) -> str:
        """The primary language of the last voice."""
        named = [*voice_changes(self.lead, ()), *self._changes]
        with suppress(UnknownSpeaker):
            return primary((self._cast.find(voice_named(named[-1])) if named else self._cast.default).text_language)
        return primary(self._cast.default.text_language)

    def _cut(self, end: int) -> str:
        complete = self.pending[:end]
        self.lead = lead_after(self.lead, complete, self._cast)
        self.pending = self.pending[end:]
        self._decided, self._tried = max(0, self._decided - end), self._tried - end
        return complete

    def flush(self) -> str:
        """The remaining text, complete or not."""
        rest = self._cut(len(self.pending))
        self._decided, self._tried = 0, -1
        return rest

    @property
    def says_nothing(self) -> bool:
        """Whether the incomplete text has no words; false if it cannot be spoken."""
        return self._says_nothing(len(self.pending))

    def _says_nothing(self, end: int) -> bool:
        text = self.pending[:end]
        for change in reversed(self._changes):
            text = text[: change.start()] + " " + text[change.end() :]
        try:
            normalize(text, self._language)
        except NothingToSpeak:
            return True
        except UnsupportedText:
            return False
        return False

    def first(self, complete: str) -> tuple[str, str]:
        """What of a complete text is spoken as one utterance, all of it, and what is left."""
        return complete, ""

    def with_lead(self, lead: str, text: str) -> str:
        """:func:`with_lead`, of complete text."""
        return with_lead(lead, text, self._cast)

    def clause(self, least: int) -> str:
        """Cut off what the incomplete sentence begins with, up to a clause's end; empty if it has no clause's end after
        at least so many characters."""
        least += len(self.pending) - len(self.pending.lstrip())
        places = [place.end() for place in _CLAUSE.finditer(self.pending) if place.end() >= least]
        for end in reversed(places[-_PLACES_TRIED:]):
            word, before = _NEXT_WORD.match(self.pending, end), self.pending[self._context_start(end) : end]
            if word is None or ends_in_open_directive(self.pending[:end]) or ends_in_open_tag(before):
                continue
            with suppress(UnsupportedText):
                if _is_separable(before, word[0], self._language):
                    return self._cut(end)
        return ""

    @property
    def seems_complete(self) -> bool:
        """Whether the incomplete text ends with a sentence's mark, after which only white space or nothing has come."""
        return _END.search(self.pending) is not None and not ends_in_open_directive(self.pending)

    @property
    def is_certain(self) -> bool:
        """Whether a sentence ends there, whatever follows; false after "Dr.", "5 p.m." and the like."""
        return _is_boundary(f"{self.pending[self._context_start(len(self.pending)) :]} ", None, self._language)

    def _context_start(self, end: int) -> int:
        """Where the context of a position begins: not inside phonemes, and with the last voice."""
        named = max((change.end() for change in self._changes), default=0)
        start = max(0, end - _CONTEXT, named if named <= end else 0)
        opening = self.pending.rfind("[[", 0, start + 1)
        return opening if opening > self.pending.rfind("]]", 0, start) else start

    def _unfinished_name(self) -> int:
        """Where the last line begins, if that may become the name of another voice; else the end."""
        start = self.pending.rfind("\n") + 1
        begun = self.pending[start:].lstrip(" \t")
        return start if any(name.startswith(begun) for name in self._cast.names) else len(self.pending)

    def _last_boundary(self) -> int:
        found, places, tried = 0, list(_PLACE.finditer(self.pending, self._decided)), self._tried
        known = self._unfinished_name()
        if places:
            self._decided = places[-1].end()
        for place in reversed(places[-_MOST_PLACES:]):  # each costs milliseconds; those before can wait for the next
            if ends_in_open_directive(self.pending[: place.end()]):
                continue
            word = _NEXT_WORD.match(self.pending, place.end(), known)
            before = self.pending[self._context_start(place.end()) : place.end()]
            if (word or place.start() > tried) and _is_boundary(before, word and word[0], self._language):
                found = place.end()
                break
            if word is None:
                self._decided, self._tried = place.start(), max(self._tried, place.start())
        return found


def _is_boundary(before: str, word: str | None, language: str) -> bool:
    """Whether a sentence ends with ``before``, given the next word or, without one, whatever the word may be."""
    said = _CUE.sub(lambda cue: cue[0] if cue[0].startswith("[[") else "", before)
    if not any(char.isalnum() for char in said) or ends_in_open_tag(before):
        return False
    if word is not None:
        try:
            return _is_separable(before, word, language)
        except UnsupportedText:  # one of them will be refused; if it is the next word, it decides nothing
            pass
    try:
        return all(_is_separable(before, after, language) for after in _continuations(language))
    except UnsupportedText:  # refused by itself, and not together with its neighbours
        return True


def _is_separable(before: str, after: str, language: str) -> bool:
    """Whether two texts are spoken the same separately and as one."""
    return _read(before + after, language) == _read(before, language) + _read(after, language)


def _read(text: str, language: str) -> list[str | Cue]:
    return [token.spoken for token in normalize(text, language)]

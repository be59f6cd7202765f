"""Models without their weights, as clients see them, the plans of what they make, and the interface of what samples."""

from __future__ import annotations

import difflib
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ancestral.catalog.voices import VoiceMix, find_voice
from ancestral.errors import InvalidRequest
from ancestral_models import entries
from ancestral_models.audio.resampler import RATE, Map
from ancestral_models.conditioning import Speaker, parents
from ancestral_models.engines.base import Engine, Length, Stream, Symbols
from ancestral_models.spec import STYLE, ImageSpec, SpeechSpec
from ancestral_models.text.characters import FLAG, SEQUENCE, speak_flag, speak_picture

_MAX_BY_MEANING: Final = 5
_MAX_BY_LETTERS: Final = 3
_LIKENESS: Final = 0.6
_SHOWN: Final = 40
"""Characters of a name that an error shows."""
_EMOJI: Final = re.compile(f"({FLAG})|{SEQUENCE}")
_WORD: Final = re.compile(r"\w+")
_MINOR: Final = frozenset({"a", "an", "and", "in", "of", "on", "or", "picture", "the", "with"})


def nearest(wanted: str, names: Sequence[str], synonyms: Mapping[str, Sequence[str]]) -> list[str]:
    """The members of ``names`` that are nearest to what was requested; none if nothing is near.

    Args:
        wanted: a word, several, or an emoji, in lower case.
        names: to choose from.
        synonyms: lower-case words, each with those of ``names`` that it may mean, the nearest first.
    """
    forms = [form for word in _words(wanted) for form in _forms(word)]
    meant = [name for form in [wanted, *forms] for name in synonyms.get(form, ()) if name in names]
    if not meant:
        meant = [name for form in forms for name in names if form in _WORD.findall(name.casefold())]
    if meant:
        return list(dict.fromkeys(meant))[:_MAX_BY_MEANING]
    known = {name.casefold(): name for name in names}
    return [known[found] for found in difflib.get_close_matches(wanted, known, _MAX_BY_LETTERS, _LIKENESS)]


def _words(text: str) -> Iterator[str]:
    """The words of a text that mean something, those of its emoji among them."""

    def name(match: re.Match[str]) -> str:
        return f" {(speak_flag if match[1] else speak_picture)(match[0], 'en') or ''} "

    named = _EMOJI.sub(name, text)
    yield from (word for word in _WORD.findall(unicodedata.normalize("NFKC", named).casefold()) if word not in _MINOR)


def _forms(word: str) -> Iterator[str]:
    """A word as it is, and without the endings of a plural."""
    yield word
    for ending, stem in (("ies", "y"), ("es", ""), ("s", "")):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            yield word.removesuffix(ending) + stem


ANY: Final = "any"
"""The name of a class, a style or any other attribute that is left unspecified."""


CAPABILITIES_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "labels": entries.CAPABILITIES["image"],
    "picture": ("image_reconstruction", "image_encoding", "image_interpolation", "image_likelihood"),
    "person": ("image_portrait", "image_encoding", "image_interpolation", "image_likelihood"),
}
"""What an image model can do, by what it draws from (:attr:`ancestral_models.spec.ImageSpec.drawn_from`)."""


@dataclass(frozen=True)
class Model(ABC):
    """Description of one model of any kind."""

    entry: entries.ModelEntry
    sha256: str
    """Hash of the weights that are sampled."""
    parameters: int
    """Number of weights."""

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """Past samples, or rows above, that the network sees."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the model can do."""
        return entries.CAPABILITIES[self.entry.kind]

    @property
    def needs_upload(self) -> bool:
        """Whether it makes nothing without a recording or picture of the client's."""
        return not {"speech", "generation", "image_generation"} & set(self.capabilities)

    def require(self, capability: str) -> None:
        """Require a capability of the model.

        Raises:
            InvalidRequest: it has not got it.
        """
        if capability not in self.capabilities:
            able = ", ".join(self.capabilities)
            message = f"model: {self.entry.id} is not made for {capability}; it is made for {able}"
            raise InvalidRequest(message, param="model", code="model_not_capable")


@dataclass(frozen=True)
class SpeechModel(Model):
    """A model that generates speech, with or without text."""

    spec: SpeechSpec
    maps: Mapping[str, Map] = field(default_factory=dict, compare=False, repr=False)
    """Of the band above the network's, by voice; all voices or none have one."""

    @property
    def sound_rate(self) -> int:
        """Hertz of what is heard, unless a request asks for another rate."""
        return RATE if self.maps else self.spec.sample_rate

    def high_band(self, voice: str) -> Map | None:
        """The map of a voice; of a mix the weighted mean."""
        shares = self.mix(voice).shares.items() if self.maps else ()
        parts = [np.float32(share) * self.maps[name] for name, share in shares]
        return np.sum(parts, axis=0, dtype=np.float32) if parts else None

    @property
    def receptive_field(self) -> int:
        """Past samples that the next one depends on."""
        return self.spec.receptive_field

    def mix(self, text: str, aliases: Mapping[str, str] | None = None) -> VoiceMix:
        """The voice of this id, or a mix of voices such as ``heart(2)+joe(1)``.

        Args:
            text: an id or a mix.
            aliases: other names of voices.

        Raises:
            InvalidRequest: it is no mix, or the model lacks one of its voices.
        """
        return find_voice(self.entry.id, self.entry.voices, text, aliases or {})

    def speaker(self, shares: Mapping[str, float]) -> Speaker | None:
        """Voices, and the share of each, as the network's speakers; None if it has no speakers."""
        if not self.spec.speakers:
            return None
        return {self.spec.speakers.index(voice): share for voice, share in shares.items()}


@dataclass(frozen=True)
class ImageModel(Model):
    spec: ImageSpec
    embedding: tuple[tuple[float, ...], ...]
    """The label embedding: of each attribute a vector for every value, then one for "unspecified". Empty where the
    network has no attributes."""
    label_rows: NDArray[np.float32] = field(compare=False, repr=False)
    """The labels that occurred together in training (:func:`ancestral_models.conditioning.draw_labels`)."""
    classified: bool = False
    """Whether it has a classifier, which says what its pictures show."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        edits = (entries.EDIT_CAPABILITY,) if self.spec.draws_edits else ()
        classifies = (entries.CLASSIFICATION_CAPABILITY,) if self.classified else ()
        return CAPABILITIES_FROM[self.spec.drawn_from] + edits + classifies

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT``."""
        return f"{self.spec.width}x{self.spec.height}"

    @property
    def receptive_field(self) -> int:
        """Rows above a pixel that it can depend on."""
        return self.spec.reach

    @cached_property
    def parents(self) -> dict[str, tuple[str, dict[int, int]]]:
        """The attributes whose values belong to those of another, as subclasses to classes.

        For each its name, that of the other attribute, and the label there of every label here.
        """
        names = list(self.spec.named)
        return {names[child]: (names[of], labels) for child, (of, labels) in parents(self.label_rows).items()}

    @cached_property
    def sheet_labels(self) -> dict[str, list[dict[str, int]]]:
        """The labels that each frame of each sheet sets, by attribute."""
        sheets = self.entry.sheets.items()
        return {name: [self.labels(prompt, "sheet") for prompt in layout.prompts] for name, layout in sheets}

    @property
    def sheet_attributes(self) -> dict[str, list[str]]:
        """The attributes that the frames of each sheet set, so that no prompt for it can name them."""
        return {
            name: [attribute for attribute in self.spec.named if any(attribute in labels for labels in frames)]
            for name, frames in self.sheet_labels.items()
        }

    @cached_property
    def _values(self) -> dict[str, tuple[str, int]]:
        """Every value by its name in lower case: its attribute, and its label."""
        attributes = self.spec.attributes
        return {value.casefold(): (name, i) for name, values in attributes for i, value in enumerate(values)}

    @cached_property
    def _longest(self) -> int:
        """Words of the longest name of a value."""
        return max((len(value.split()) for value in self._values), default=1)

    def labels(self, text: str, param: str) -> dict[str, int]:
        """The labels that a list of names asks for, by attribute. What they belong to is among them.

        Args:
            text: names of values of any attributes, in any case, separated by commas, or by spaces where that is clear;
                :data:`ANY` asks for nothing.
            param: the field that it came in.

        Raises:
            InvalidRequest: there is no such value, or two are of one attribute; the message has the nearest ones.
        """
        names = list(self._names(text)) or [""]
        found: dict[str, int] = {}
        for number, name in enumerate(names, 1):
            if name.casefold() == ANY and ANY not in self._values:
                continue
            place = f" (name {number} of {len(names)})" if len(names) > 1 else ""
            if name.casefold() not in self._values:
                raise self._unknown(name, param, place, self.spec.named)
            attribute, label = self._values[name.casefold()]
            if found.setdefault(attribute, label) != label:
                message = f"{param}: two values of {attribute}{place}; one picture has one"
                raise InvalidRequest(message, param=param, code="conflict")
        for child, (parent, belongs) in self.parents.items():
            if child in found and found[child] in belongs:
                found.setdefault(parent, belongs[found[child]])
        return found

    def _names(self, text: str) -> Iterator[str]:
        """The names in a list. One that is no value, but begins or ends with some, is several: "an elf with a robe"."""
        for name in filter(None, map(str.strip, text.split(","))):
            words = name.split()
            parts = [] if name.casefold() in self._values else list(self._parts(words))
            if any(part.casefold() in self._values for part in parts):
                yield from (part for part in parts if part.casefold() not in _MINOR)
            else:
                yield name

    def _parts(self, words: Sequence[str]) -> Iterator[str]:
        """Words, those that are the name of a value together as one."""
        while words:
            lengths = range(min(len(words), self._longest), 1, -1)
            length = next((n for n in lengths if " ".join(words[:n]).casefold() in self._values), 1)
            yield " ".join(words[:length])
            words = words[length:]

    def known(self, text: str) -> int:
        """How many names of a list are values."""
        return sum(name.casefold() in self._values for name in self._names(text))

    def style(self, name: str | None) -> int | None:
        """The label of a style, in the field of that name.

        Raises:
            InvalidRequest: there is no such style.
        """
        styles = self.spec.named.get(STYLE, ())
        if name is None or (styles and name.strip().casefold() == ANY):
            return None
        attribute, label = self._values.get(name.strip().casefold(), ("", 0))
        if attribute != STYLE:
            raise self._unknown(name, "style", "", {STYLE: styles} if styles else {})
        return label

    def names(self, labels: Sequence[int | None], *, style: bool) -> str:
        """The list of names that asks for these labels, without those that follow from others.

        Args:
            labels: one for each attribute.
            style: whether to name the style.
        """
        values = zip(self.spec.named, self.spec.conditions, labels, strict=True)
        given = {attribute: names[label] for attribute, names, label in values if label is not None}
        implied = {parent for child, (parent, _) in self.parents.items() if child in given}
        left_out = implied if style else implied | {STYLE}
        return ", ".join(name for attribute, name in given.items() if attribute not in left_out)

    def canonical(self, text: str) -> str:
        """A list of names as the model spells them; :data:`ANY` where none is known."""
        known = [self._values.get(name.casefold()) for name in self._names(text)]
        return ", ".join(self.spec.named[found[0]][found[1]] for found in known if found is not None) or ANY

    def _unknown(self, name: str, param: str, place: str, among: Mapping[str, tuple[str, ...]]) -> InvalidRequest:
        code = "style_not_found" if param == STYLE else "class_not_found"
        if not among:
            has = "styles" if param == STYLE else "classes"
            return InvalidRequest(f"{param}: {self.entry.id} has no {has}", param=param, code=code)
        every = [value for values in among.values() for value in values]
        near = nearest(name.strip().casefold(), every, self.entry.synonyms)
        if near:
            kinds = {value: f" ({self._values[value.casefold()][0]})" if len(among) > 1 else "" for value in near}
            said = f"nearest: {', '.join(value + kind for value, kind in kinds.items())}"
        else:
            said = f"it has {', '.join(next(iter(among.values())))}"
        *most, last = among
        what = f"{', '.join(most)} or {last}" if most else last
        shown = f": {name[:_SHOWN]!r}" if name else ""
        return InvalidRequest(
            f"{param}: {self.entry.id} has no such {what}{shown}{place}; {said}", param=param, code=code
        )


# The interface that a worker samples through, in any modality: weights in an engine, requests as streams.


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a request comes to: everything that its output depends on besides the model, in one JSON form. It is what a
    job is to do, and what manifests, recipes and tags are made of. A subclass declares its fields; when their meaning
    changes, its version does."""

    VERSION: ClassVar[int] = 1
    kind: ClassVar[str] = ""
    """The kind of job."""

    @property
    def excerpt(self) -> str | None:
        """What lists of jobs show of the request: its text, or its prompt."""
        return None


@dataclass(frozen=True)
class Part:
    """One stream of a request."""

    request: Length
    """A length that includes the prompt."""
    prompt: Symbols
    """Symbols that precede those that are sampled."""


@dataclass(frozen=True)
class Sampler(ABC):
    """A model with its weights, ready to sample."""

    model: Model
    engine: Engine

    @abstractmethod
    def open(self, part: Part) -> Stream:
        """Open the stream, after its prompt."""

    @abstractmethod
    def restore(self, part: Part, state: bytes) -> Stream:
        """The stream that a snapshot was taken of."""

    @abstractmethod
    def warm(self) -> str:
        """Sample a little, so that everything that is compiled or read on first use is ready.

        Returns:
            SHA-256 of what came of it: equal where another machine gives the same bytes.
        """

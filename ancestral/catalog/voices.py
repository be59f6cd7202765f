"""Voices of a model, and mixes of them: names and weights as they are requested, and their canonical form."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeVar

from ancestral.errors import InvalidRequest
from ancestral_models.entries import Sampling, Voice

# Mixed voices: ``heart(2)+joe(1)`` has two thirds of heart's speaker vectors and one third of joe's.
#
# A mix has one canonical form: voices in the model's order, whole weights without a common divisor. So weights that
# scale give the same sound, and a mix of one voice is that voice. Jobs, manifests and response headers have the
# canonical form.

MAX_VOICES: Final = 8
_PART: Final = re.compile(r"([^()+]+)(?:\(([^()+]*)\))?")
_WEIGHT: Final = re.compile(r"[0-9]{1,9}|[0-9]{1,6}\.[0-9]{1,3}")
_LARGEST: Final = 10**9
_M = TypeVar("_M")
_V = TypeVar("_V")
_F = TypeVar("_F")


@dataclass(frozen=True)
class VoiceMix:
    """Voices of one model, and the weight of each."""

    weights: tuple[tuple[Voice, int], ...]
    """At least one, in the model's order."""

    @property
    def id(self) -> str:
        """The canonical form: of one voice its id."""
        if len(self.weights) == 1:
            return self.weights[0][0].id
        return "+".join(f"{voice.id}({weight})" for voice, weight in self.weights)

    @property
    def name(self) -> str:
        """The name shown to people."""
        return " + ".join(voice.name for voice, _ in self.weights)

    @property
    def language(self) -> str:
        """The language of its voices, as a tag of BCP 47: the first one's; all have the same primary language."""
        return self.weights[0][0].language

    @property
    def shares(self) -> dict[str, float]:
        """The share of each voice, by its id; they add up to 1."""
        total = sum(weight for _, weight in self.weights)
        return {voice.id: weight / total for voice, weight in self.weights}

    @property
    def sampling(self) -> Sampling:
        """How it is sampled: the weighted mean of its voices."""
        if len({voice.sampling for voice, _ in self.weights}) == 1:
            return self.weights[0][0].sampling
        shares = self.shares
        settings = [field.name for field in fields(Sampling)]
        return Sampling(
            **{name: sum(shares[v.id] * getattr(v.sampling, name) for v, _ in self.weights) for name in settings}
        )


def parse_weights(text: str) -> dict[str, str]:
    """The names of a mix and their weights as they are written; 1 where none is.

    Raises:
        InvalidRequest: it is not written as a mix.
    """
    parts = [_PART.fullmatch(part.strip()) for part in text.split("+", MAX_VOICES)]
    if len(parts) > MAX_VOICES:
        raise _refused(f"a mix may have {MAX_VOICES} voices")
    found: dict[str, str] = {}
    for part in parts:
        if part is None:
            raise _refused("a mix is written like heart(2)+joe(1)")
        name = part[1].strip()
        if name in found:
            raise _refused(f"{name}: given twice")
        found[name] = "1" if part[2] is None else part[2].strip()
    return found


def mix(weights: Mapping[str, str], voices: Sequence[Voice]) -> VoiceMix:
    """A mix in its canonical form.

    Args:
        weights: of voices by their ids, as they are written.
        voices: of the model, in its order; with all of these.

    Raises:
        InvalidRequest: a weight is no positive number with at most three decimals, they differ too much, or the voices
            speak different languages.
    """
    for name, weight in weights.items():
        if not _WEIGHT.fullmatch(weight) or not float(weight):
            raise _refused(f"{name}: a weight is a positive number with at most three decimals, not {weight[:40]!r}")
    scale = 1000 if any("." in weight for weight in weights.values()) else 1
    whole = {name: round(float(weight) * scale) for name, weight in weights.items()}
    divisor = math.gcd(*whole.values())
    found = VoiceMix(tuple((voice, whole[voice.id] // divisor) for voice in voices if voice.id in whole))
    if max(weight for _, weight in found.weights) >= _LARGEST:
        raise _refused("the weights differ too much")
    if len({voice.language.partition("-")[0] for voice, _ in found.weights}) > 1:
        spoken = ", ".join(f"{voice.id} {voice.language}" for voice, _ in found.weights)
        raise _refused(f"the voices of a mix speak one language ({spoken})")
    return found


def names_of(ids: Iterable[str], aliases: Mapping[str, str]) -> dict[str, str]:
    """The ids of voices by what a request may call them, in lower case: ids and aliases."""
    return {alias.casefold(): voice for alias, voice in aliases.items()} | {name.casefold(): name for name in ids}


def voice_named(name: str, voices: Mapping[str, _V], aliases: Mapping[str, str]) -> _V | None:
    """Of voices by id, the one of this id or alias, in any case; None if there is none."""
    return voices.get(names_of(voices, aliases).get(name.casefold(), ""))


def find_voice(model_id: str, voices: Sequence[Voice], text: str, aliases: Mapping[str, str]) -> VoiceMix:
    """The voice of this id or alias, in any case, or a mix of voices such as ``heart(2)+joe(1)``.

    Args:
        model_id: of the model, for messages.
        voices: of the model, in its order.
        text: as it was requested.
        aliases: other names of voices, and the ids that they stand for.

    Raises:
        InvalidRequest: it is no mix, or the model lacks one of its voices.
    """
    known = {voice.id: voice for voice in voices}
    names = names_of(known, aliases)
    if (alone := known.get(names.get(text.casefold(), ""))) is not None:
        return VoiceMix(((alone, 1),))
    weights = parse_weights(text)
    ids = {names.get(name.casefold(), name): weight for name, weight in weights.items()}
    if missing := [name for name in ids if name not in known]:
        there = [name for name, voice in names.items() if voice in known]
        near = difflib.get_close_matches(missing[0].casefold(), there, 1, 0.75)
        said = "".join(f"; nearest: {name}" for name in near)
        raise _refused(f"{model_id} has no such voice{said}; it has {', '.join(known)}", "voice_not_found")
    if len(ids) < len(weights):
        raise _refused("one voice is given twice, by its id and by an alias")
    return mix(ids, voices)


def first_with_voice(models: Iterable[_M], find: Callable[[_M], _F], capability: str = "speech") -> tuple[_M, _F]:
    """The first of the models that has a voice, and what ``find`` gives of it.

    Raises:
        InvalidRequest: as ``find`` raises it; by the first model, if all lack the voice. Or there is no model.
    """
    refused: InvalidRequest | None = None
    for model in models:
        try:
            return model, find(model)
        except InvalidRequest as error:
            if error.code != "voice_not_found":
                raise
            refused = refused or error
    raise refused or InvalidRequest(f"no model is made for {capability}", code="model_not_capable")


def _refused(message: str, code: str = "invalid_value") -> InvalidRequest:
    return InvalidRequest(f"voice: {message}", param="voice", code=code)

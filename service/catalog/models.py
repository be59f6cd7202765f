"""The description of a model, as clients see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.conditioning import Speaker
from models.library import ModelEntry, Voice
from models.spec import ImageSpec, SpeechSpec
from service.catalog.mix import MixError, VoiceMix, mix, parse_weights
from service.catalog.nearest import nearest
from service.errors import InvalidRequest

ANY: Final = "any"
"""The name of a class, or a style, that is left unspecified."""


@dataclass(frozen=True)
class Model(ABC):
    """One model of any kind."""

    entry: ModelEntry
    sha256: str
    """Of the weights that are sampled."""
    parameters: int
    """Numbers in those weights."""

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """How far back the network sees."""

    def require(self, capability: str) -> None:
        """Require a capability of the model.

        Raises:
            InvalidRequest: it has not got it.
        """
        if capability not in self.entry.capabilities:
            able = ", ".join(self.entry.capabilities)
            raise InvalidRequest(
                f"model: {self.entry.id} is not made for {capability}; it is made for {able}",
                param="model",
                code="model_not_capable",
            )


@dataclass(frozen=True)
class SpeechModel(Model):
    """A model that generates speech, with or without text."""

    spec: SpeechSpec
    """Of the network that is sampled."""
    pitch_control: bool
    """Whether its acoustic model can speak with another pitch than it predicts."""

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
        known = aliases or {}
        if any(voice.id == known.get(text, text) for voice in self.entry.voices):
            return VoiceMix(((self._voice(known.get(text, text)), 1),))
        try:
            weights = parse_weights(text)
            ids = {self._voice(known.get(name, name)).id: weight for name, weight in weights.items()}
            if len(ids) < len(weights):
                raise MixError("one voice is given twice, by its id and by an alias")
            return mix(ids, self.entry.voices)
        except MixError as error:
            raise InvalidRequest(f"voice: {error}", param="voice", code="invalid_value") from error

    def _voice(self, voice_id: str) -> Voice:
        for voice in self.entry.voices:
            if voice.id == voice_id:
                return voice
        names = ", ".join(voice.id for voice in self.entry.voices)
        raise InvalidRequest(
            f"voice: {self.entry.id} has no such voice; it has {names}", param="voice", code="voice_not_found"
        )

    def speaker(self, shares: Mapping[str, float]) -> Speaker | None:
        """Voices, and the share of each, as the network's speakers; None if it has no speakers."""
        if not self.spec.speakers:
            return None
        return {self.spec.speakers.index(voice): share for voice, share in shares.items()}


@dataclass(frozen=True)
class ImageModel(Model):
    """A model that generates pictures."""

    spec: ImageSpec
    """Of the network that is sampled."""
    embedding: tuple[tuple[float, ...], ...]
    """The label embedding: a vector for every class, then one for "unspecified"; then the same for styles and for
    subclasses. Empty where the network has no conditions."""

    @property
    def size(self) -> str:
        """``WIDTHxHEIGHT``."""
        return f"{self.spec.width}x{self.spec.height}"

    @property
    def receptive_field(self) -> int:
        """Rows above a pixel that it can depend on."""
        return self.spec.reach

    def subject(self, name: str | None, param: str) -> tuple[int | None, int | None]:
        """The labels of a class, or of a subclass: those of the class and of the subclass. None is "unspecified".

        Args:
            name: as requested, in any case. :data:`ANY` and None leave it unspecified.
            param: the field that it came in.

        Raises:
            InvalidRequest: there is no such class or subclass; the message has the nearest ones.
        """
        classes, subclasses = self.spec.classes, self.spec.subclasses
        found = self._find("class", (*classes, *subclasses), name, param)
        if found is None or found < len(classes):
            return found, None
        subclass = found - len(classes)
        return self.spec.subclass_classes[subclass], subclass

    def style(self, name: str | None) -> int | None:
        """The label of a style, in the field of that name."""
        return self._find("style", self.spec.styles, name, "style")

    def _find(self, condition: str, names: Sequence[str], name: str | None, param: str) -> int | None:
        if name is None:
            return None
        known = {known.casefold(): index for index, known in enumerate(names)}
        wanted = name.strip().casefold()
        if wanted in known:
            return known[wanted]
        if wanted == ANY and names:
            return None
        if not names:
            message = f"{param}: {self.entry.id} has no {_PLURAL[condition]}"
        else:
            near = nearest(wanted, names, self.entry.synonyms)
            said = ", ".join(near or self.spec.named[condition])
            heading = "nearest: " if near else "it has "
            message = f"{param}: {self.entry.id} has no such {condition}; {heading}{said}"
        raise InvalidRequest(message, param=param, code=f"{condition}_not_found")


_PLURAL: Final = {"class": "classes", "style": "styles"}

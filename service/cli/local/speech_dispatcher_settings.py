"""How speech-dispatcher wants a message to be spoken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ancestral.models.entries import MAX_INTONATION, MAX_PITCH, SPEEDS, Voice
from ancestral.models.text.languages.registry import language_of

_VOICE_TYPE: Final = re.compile(r"(child_)?(male|female)([123])?")
_FIRST_TYPE: Final = "male1"
"""The type of voice that speech-dispatcher names where its user has chosen none."""


@dataclass
class Settings:
    """What ``SET`` has set, as speech-dispatcher names it. Numbers are -100 to 100; 0 is normal."""

    rate: int = 0
    pitch: int = 0
    pitch_range: int = 0
    volume: int = 100
    spelling_mode: str = "off"
    cap_let_recogn: str = "none"
    voice: str = _FIRST_TYPE
    language: str = "NULL"
    synthesis_voice: str = "NULL"

    def set(self, name: str, value: str) -> None:
        """Set one; others, such as the punctuation, are speech-dispatcher's own business.

        Raises:
            ValueError: it is no number.
        """
        if isinstance(old := getattr(self, name, None), int):
            setattr(self, name, max(-100, min(100, int(value))))
        elif old is not None:
            setattr(self, name, value)

    @property
    def options(self) -> dict[str, Any]:
        """How a voice speaks; what is normal is left out."""
        share = self.rate / 100
        speed = SPEEDS[1] ** share if share > 0 else SPEEDS[0] ** -share
        found = {"speed": speed, "pitch": MAX_PITCH * self.pitch / 100}
        found["intonation"] = max(0.0, min(MAX_INTONATION, 1 + self.pitch_range / 100))
        normal = {"speed": 1.0, "pitch": 0.0, "intonation": 1.0}
        return {name: value for name, value in found.items() if value != normal[name]}

    def chosen(self, voices: Sequence[Voice], default: str) -> str:
        """The id of the voice that is chosen: by its id, by the language, or by its type among those of the language.

        Args:
            voices: of the model.
            default: a voice, or a mix of voices, of users who have chosen none.
        """
        if self.synthesis_voice in {voice.id for voice in voices}:
            return self.synthesis_voice
        spoken = [
            voice
            for voice in voices
            if self.language == "NULL" or language_of(voice.language) == language_of(self.language)
        ] or voices
        kind = _VOICE_TYPE.fullmatch(self.voice)
        if kind is not None and self.voice != _FIRST_TYPE:
            fitting = [voice for voice in spoken if voice.gender == kind[2]]
            if fitting:
                return fitting[(int(kind[3] or 1) - 1) % len(fitting)].id
        speaks_another = default in {voice.id for voice in voices} - {voice.id for voice in spoken}
        return spoken[0].id if speaks_another else default

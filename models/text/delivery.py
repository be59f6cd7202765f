"""Tags in plain text for how it is said, as ElevenLabs' v3 has them: ``[whispers]``, ``[slowly]``. What rate, pitch,
level and voicing can do is done, up to the next tag or voice; others are known, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ancestral.models.text.phonemes import Prosody
from ancestral.models.text.script import Pause

_WAYS: Final[tuple[tuple[Prosody | Pause | None, str], ...]] = (
    (Prosody(), "normal normally neutral"),
    (Prosody(whispered=True), "whisper whispers whispered whispering"),
    (Prosody(rate=0.75), "slow slowly slower drawn-out"),
    (Prosody(rate=1.25), "fast faster quickly rapidly rushed hurried"),
    (Prosody(decibels=-8.0), "quiet quietly softly soft gently gentle"),
    (Prosody(decibels=4.0, semitones=1.0), "loud loudly shout shouts shouting yells yelling"),
    (Prosody(rate=1.1, semitones=2.0), "excited excitedly cheerful cheerfully happy happily enthusiastic joyful"),
    (Prosody(rate=0.85, semitones=-1.0), "sad sadly sorrowful tired somber melancholic"),
    (Prosody(rate=0.9), "calm calmly"),
    (Pause(0.5), "pause pauses"),
    (Pause(0.25), "short-pause"),
    (Pause(1.0), "long-pause"),
    (None, "laugh laughs laughing giggles chuckles cries crying sobbing sigh sighs exhales inhales gasp gasps gulps"),
    (None, "coughs clears-throat sniffs snorts sings singing hums angry angrily annoyed sarcastic sarcastically"),
    (None, "curious nervous nervously mischievously surprised thoughtful confused frustrated"),
)
WAYS: Final[Mapping[str, Prosody | Pause | None]] = {word: way for way, words in _WAYS for word in words.split()}
"""What each word comes to; None if nothing does what it says. A space may stand for the hyphen."""
TAG: Final = re.compile(rf"\[(?P<way>{'|'.join(WAYS).replace('-', '[ -]')})\]", re.IGNORECASE)
"""A tag. Any other word in brackets is text."""


def left_out(text: str) -> list[str]:
    """The tags of a plain text that nothing does."""
    return [match[0] for match in TAG.finditer(text) if way_of(match) is None]


def way_of(match: re.Match[str]) -> Prosody | Pause | None:
    """What one match of :data:`TAG` comes to."""
    return WAYS[match["way"].lower().replace(" ", "-")]

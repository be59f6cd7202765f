"""Text front-end: text of six languages to the phonemes that a model is conditioned on. Offline, without torch."""

from ancestral.models.text.characters import UnsupportedText
from ancestral.models.text.frontend import InputFormat, parse_text, phonemize
from ancestral.models.text.phonemes import PHONEMES
from ancestral.models.text.pronunciations import PronunciationError, Pronunciations
from ancestral.models.text.script import Rest, Script, Sentence, Word

__all__ = [
    "PHONEMES",
    "InputFormat",
    "PronunciationError",
    "Pronunciations",
    "Rest",
    "Script",
    "Sentence",
    "UnsupportedText",
    "Word",
    "parse_text",
    "phonemize",
]

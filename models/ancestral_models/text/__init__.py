"""Text front-end: text of six languages to the phonemes that a model is conditioned on. Offline, without torch."""

from ancestral_models.text.characters import UnsupportedText
from ancestral_models.text.frontend import InputFormat, parse_text, phonemize
from ancestral_models.text.phonemes import PHONEMES
from ancestral_models.text.pronunciations import PronunciationError, Pronunciations
from ancestral_models.text.script import Rest, Script, Sentence, Word

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

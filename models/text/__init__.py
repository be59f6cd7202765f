"""Text front-end: written English to the phonemes a model is conditioned on. Offline, without torch."""

from models.text.characters import UnsupportedText
from models.text.frontend import InputFormat, Rest, Sentence, Word, parse_text, phonemize
from models.text.phonemes import PHONEMES, PhonemeSequence
from models.text.pronunciations import PronunciationError, Pronunciations
from models.text.script import Script

__all__ = [
    "PHONEMES",
    "InputFormat",
    "PhonemeSequence",
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

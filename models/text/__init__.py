"""Text front-end: written English to the phonemes a model is conditioned on. Offline, without torch."""

from models.text.characters import UnsupportedText
from models.text.frontend import Sentence, Word, phonemize
from models.text.phonemes import PHONEMES, PhonemeSequence

__all__ = ["PHONEMES", "PhonemeSequence", "Sentence", "UnsupportedText", "Word", "phonemize"]

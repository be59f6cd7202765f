"""The conditional random fields that ship with `gruut_lang_en`."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ancestral.models.text import lexicon

if TYPE_CHECKING:
    from pycrfsuite import Tagger

Features = Mapping[str, str | bool | float]


class _Model(NamedTuple):
    tagger: Tagger
    lock: threading.Lock
    """The tagger keeps the sequence that it works on."""


@lru_cache
def _opened(name: str) -> _Model:
    import pycrfsuite

    tagger = pycrfsuite.Tagger()
    tagger.open(str(lexicon.data_file(f"{name}/model.crf")))
    return _Model(tagger, threading.Lock())


def tag(name: str, sequence: Sequence[Features]) -> list[str]:
    """The likeliest tag of every item of a sequence, by the model of this name."""
    tagger, lock = _opened(name)
    with lock:
        return list(tagger.tag(sequence))


@lru_cache(maxsize=1024)
def encode(text: str) -> str:
    """A text as the models know it: they were trained on base64, so that every feature is plain ASCII."""
    return base64.b64encode(text.encode()).decode()

"""The times of the words of a job, for clients."""

from __future__ import annotations

import asyncio
from typing import Final

from models.text import phonemize
from service.broker import Broker
from service.broker.job import Job
from service.speech.payloads import SpeechPayload
from service.speech.schemas import WordTime
from service.speech.word_spans import WordSpans

_POLL_SECONDS: Final = 0.02


async def word_times(broker: Broker, job: Job, payload: SpeechPayload) -> tuple[list[WordTime], bool]:
    """The words whose times are known so far, in samples of the model's rate, and whether these are all."""
    found = [WordSpans.load(text) for text in await broker.annotations(job, len(payload.sentences))]
    texts = await asyncio.to_thread(_texts, payload.input) if found else []
    words: list[WordTime] = []
    offset = 0
    for sentence, names in zip(found, texts, strict=False):
        for name, (start, end) in zip(names, sentence.spans, strict=True):
            words.append(WordTime(word=name, start=offset + start, end=offset + end))
        offset += sentence.length
    return words, len(found) == len(payload.sentences)


async def all_word_times(broker: Broker, job: Job, payload: SpeechPayload) -> list[WordTime]:
    """The times of all words; waits until they are known. Those that are known, if the job ends before that."""
    while True:
        words, complete = await word_times(broker, job, payload)
        current = None if complete else await broker.job(job.id)
        if current is None or current.status.terminal:
            return words
        await asyncio.sleep(_POLL_SECONDS)


def _texts(text: str) -> list[list[str]]:
    """The words of each sentence, as they are read."""
    return [[item.text for item in sentence.items if not isinstance(item, str)] for sentence in phonemize(text)]

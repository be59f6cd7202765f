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
    found = await _spans(broker, job, payload)
    return await _named(found, payload), len(found) == len(payload.sentences)


async def all_word_times(broker: Broker, job: Job, payload: SpeechPayload) -> list[WordTime]:
    """The times of all words; waits until they are known. Those that are known, if the job ends before that."""
    while len(found := await _spans(broker, job, payload)) < len(payload.sentences):
        current = await broker.job(job.id)
        if current is None or current.status.terminal:
            break
        await asyncio.sleep(_POLL_SECONDS)
    return await _named(found, payload)


async def _spans(broker: Broker, job: Job, payload: SpeechPayload) -> list[WordSpans]:
    return [WordSpans.load(text) for text in await broker.annotations(job, len(payload.sentences))]


async def _named(found: list[WordSpans], payload: SpeechPayload) -> list[WordTime]:
    """The words of these sentences, with their names in the text."""
    texts = await asyncio.to_thread(_texts, payload.input) if found else []
    words: list[WordTime] = []
    offset = 0
    for sentence, names in zip(found, texts, strict=False):
        for name, (start, end) in zip(names, sentence.spans, strict=True):
            words.append(WordTime(word=name, start=offset + start, end=offset + end))
        offset += sentence.length
    return words


def _texts(text: str) -> list[list[str]]:
    """The words of each sentence, as they are read."""
    return [[item.text for item in sentence.items if not isinstance(item, str)] for sentence in phonemize(text)]

"""Voices for Wyoming, the protocol of Home Assistant's voice assistants: one client's connection.

A request is one text (``synthesize``), or text in pieces (``synthesize-start``, ``-chunk``, ``-stop``), of which every
sentence is spoken as soon as it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeTextFormat,
    SynthesizeVoice,
)

from ancestral import codecs
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.model import Model
from ancestral.speech.sampler import Wave
from ancestral.speech.sentences import Sentences, pieces_of, with_lead
from ancestral.speech.voice import Voice
from ancestral_integrations import __version__
from ancestral_models.entries import Voice as VoiceEntry
from ancestral_models.text import InputFormat
from ancestral_models.text.languages.language import primary

if TYPE_CHECKING:
    from ancestral.client.server import RemoteModel, RemoteVoice

_MOST_CHARACTERS: Final = 1 << 16
"""Most characters of an incomplete sentence."""
_ATTRIBUTION: Final = Attribution("Ancestral", "")  # its project has no address of its own
_WIDTH: Final = 2


@dataclass(frozen=True)
class Speaking:
    """State that all connections share."""

    model: Model | RemoteModel
    voices: tuple[VoiceEntry, ...]
    summary: str
    """Description of the model."""
    default: str
    """The voice of requests that name none."""
    sampling: asyncio.Semaphore
    """One place for each sentence that is sampled at a time."""
    lead_in: int = 0
    """Milliseconds of silence before the sound of a request."""
    tail: int = 0
    """The same after it."""

    def info(self) -> Info:
        """The answer to ``describe``."""
        voices = [
            TtsVoice(voice.id, _ATTRIBUTION, True, voice.description, __version__, [voice.language])
            for voice in self.voices
        ]
        program = TtsProgram("ancestral", _ATTRIBUTION, True, self.summary, __version__, voices, True)
        return Info(tts=[program])

    def voice(self, wanted: SynthesizeVoice | None) -> Voice | RemoteVoice:
        """The voice that a request names, or the first one of the language that it names.

        Raises:
            InvalidRequest: there is none.
        """
        if wanted is None or (wanted.name is None and wanted.language is None):
            return self.model.voice(self.default)
        if wanted.speaker is not None:
            raise InvalidRequest("speaker: no voice has speakers", param="speaker", code="unknown_speaker")
        if wanted.name is not None:
            return self.model.voice(wanted.name)
        language = str(wanted.language).replace("_", "-").lower()
        for voice in self.voices:
            if language in (voice.language.lower(), primary(voice.language)):
                return self.model.voice(voice.id)
        raise InvalidRequest(f"language: no voice speaks {language}", param="language", code="unknown_language")


class Connection(AsyncEventHandler):
    """One client: its requests one after the other."""

    def __init__(self, speaking: Speaking, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._speaking = speaking
        self._streamed: tuple[Voice | RemoteVoice, InputFormat, Sentences] | None = None
        """Voice, format and text of a request whose text comes in pieces."""
        self._failed = self._repeats = False
        """Whether such a request has failed, so that what still comes of it is passed over up to ``synthesize-stop``;
        and whether its whole text is still to come."""
        self._lead_in = 0
        """Of the request, until its sound begins."""

    async def handle_event(self, event: Event) -> bool:
        """Answer an event; what cannot be spoken is answered with an ``error``, and the connection goes on."""
        starts, stops = SynthesizeStart.is_type(event.type), SynthesizeStop.is_type(event.type)
        is_whole = Synthesize.is_type(event.type)
        is_rest = self._failed and (stops or SynthesizeChunk.is_type(event.type) or (is_whole and self._repeats))
        self._failed, self._repeats = self._failed and (is_rest or not is_whole), self._repeats and not is_whole
        try:
            if not is_rest:
                await self._answer(event)
        except ConnectionError:  # the client has left
            return False
        except (AncestralError, KeyError) as error:
            self._failed = self._repeats = self._failed or starts or self._streamed is not None
            self._streamed = None
            await self._refuse(error)
        if stops:  # clients wait for it, whatever could be spoken
            self._failed = False
            await self.write_event(SynthesizeStopped().event())
        return True

    async def _refuse(self, error: AncestralError | KeyError) -> None:
        text = f"data: {error} is missing" if isinstance(error, KeyError) else str(error)
        await self.write_event(Error(text=text, code=getattr(error, "code", None) or "invalid_event").event())

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(self._speaking.info().event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif SynthesizeStart.is_type(event.type):
            start, self._failed, self._lead_in = SynthesizeStart.from_event(event), False, self._speaking.lead_in
            voice = self._speaking.voice(start.voice)
            self._streamed = voice, _input_format(start.text_format), Sentences(cast=voice.cast())
        elif SynthesizeChunk.is_type(event.type):
            await self._take(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type):
            await self._finish()
        elif Synthesize.is_type(event.type):
            # Within a request in pieces it is its whole text again, for servers that cannot take pieces.
            if self._streamed is None:
                whole, self._lead_in = Synthesize.from_event(event), self._speaking.lead_in
                voice, form = self._speaking.voice(whole.voice), _input_format(whole.text_format)
                await self._speak(voice, whole.text, form, tail=self._speaking.tail)
        else:
            raise InvalidRequest(f"type: {event.type} is unknown here", param="type", code="unknown_event")

    async def _take(self, text: str) -> None:
        voice, input_format, sentences = self._begun()
        lead = sentences.lead
        if input_format == "ssml":  # a document is one, however it comes
            sentences.pending += text
        elif complete := sentences.feed(text).strip():
            await self._say(voice, complete, input_format, lead)
        if len(sentences.pending) > _MOST_CHARACTERS:
            raise InvalidRequest(f"text: a sentence of over {_MOST_CHARACTERS} characters", param="text")

    async def _finish(self) -> None:
        voice, input_format, sentences = self._begun()
        self._streamed, lead = None, sentences.lead
        if not sentences.says_nothing:
            await self._say(voice, sentences.flush().strip(), input_format, lead)
        if self._speaking.tail:
            await self._send(voice.sample_rate, iter(()), self._speaking.tail)

    def _begun(self) -> tuple[Voice | RemoteVoice, InputFormat, Sentences]:
        if self._streamed is None:
            raise InvalidRequest("type: no synthesize-start came before", param="type", code="not_started")
        return self._streamed

    async def _say(self, voice: Voice | RemoteVoice, text: str, input_format: InputFormat, lead: str) -> None:
        """Speak a part of a text that comes in pieces. If it cannot be spoken, the others are."""
        try:
            await self._speak(voice, text, input_format, lead)
        except InvalidRequest as error:
            await self._refuse(error)

    async def _speak(
        self, voice: Voice | RemoteVoice, text: str, input_format: InputFormat, lead: str = "", tail: int = 0
    ) -> None:
        async with self._speaking.sampling:
            await self._send(voice.sample_rate, _sound(voice, text, input_format, lead), tail)

    async def _send(self, rate: int, waves: Iterator[Wave], tail: int) -> None:
        """Send sound, with the silence that is due before it and milliseconds of silence after it."""
        encoder, shape = codecs.encoder("pcm", rate), (rate, _WIDTH, 1)
        wave = await asyncio.to_thread(next, waves, None)  # what cannot be spoken is refused here
        await self.write_event(AudioStart(*shape).event())
        try:
            await self._silence(self._lead_in, *shape)
            self._lead_in = 0
            while wave is not None:
                await self.write_event(AudioChunk(*shape, encoder.feed(wave)).event())
                wave = await asyncio.to_thread(next, waves, None)
            await self._silence(tail, *shape)
        finally:
            await self.write_event(AudioStop().event())

    async def _silence(self, milliseconds: int, rate: int, width: int, channels: int) -> None:
        if milliseconds:
            silence = bytes(rate * milliseconds // 1000 * width * channels)
            await self.write_event(AudioChunk(rate, width, channels, silence).event())


def _sound(voice: Voice | RemoteVoice, text: str, input_format: InputFormat, lead: str) -> Iterator[Wave]:
    """The sound of a text, in pieces that a server takes."""
    cast = voice.cast()
    for before, piece, begin in pieces_of(text, cast, lead) if input_format == "text" else [(lead, text, 0)]:
        if not begin or not Sentences(piece, cast, before).says_nothing:
            yield from voice.speak(with_lead(before, piece, cast), input_format=input_format)


def _input_format(given: str | SynthesizeTextFormat | None) -> InputFormat:
    """The ``input_format`` of a text.

    Raises:
        InvalidRequest: it is unknown.
    """
    if given is None:
        return "text"
    if not isinstance(given, SynthesizeTextFormat):
        raise InvalidRequest(f"text_format: {given}; there are text and ssml", param="text_format")
    return "ssml" if given is SynthesizeTextFormat.SSML else "text"

"""ElevenLabs' requests as those of this service, and times in ElevenLabs' shapes."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from typing import Any, Final

from ancestral.catalog.catalog import Catalog
from ancestral.errors import AncestralError, InvalidRequest, NotFound
from ancestral.formats import MEDIA_TYPES
from ancestral.requests import MAX_INPUT_CHARACTERS, SpeechRequest
from ancestral.speech.timestamps import Alignment, SentenceTimes, normalized, written
from ancestral.speech.utterance import Utterance
from ancestral_models.text.ssml import voice_changes
from ancestral_service.speech.elevenlabs.schemas import (
    AudioWithTimestamps,
    CharacterTimes,
    DialogueText,
    DialogueWithTimestamps,
    ElevenLabsLanguage,
    ElevenLabsModel,
    GenerationConfig,
    SecondsAlignment,
    SessionSettings,
    SpeechQuery,
    StreamQuery,
    TextToDialogue,
    TextToSpeech,
    VoiceSegment,
    VoiceSettings,
)
from ancestral_service.speech.session.runner import SessionRunner
from ancestral_service.speech.session.state import SessionConfig, Turn

_NAMES: Final = {"language": "language_code", "model": "model_id", "voice": "voice_id"}
"""ElevenLabs' names of our fields, but for the text's."""


def renamed(error: AncestralError, text_field: str = TextToSpeech.text_field) -> AncestralError:
    """An error about a field of ours, with the name that ElevenLabs' clients know."""
    unknown = error.code == "unknown_parameter"  # that name is the client's
    return error if unknown else error.renamed({"input": text_field} | _NAMES)


def choose_model(catalog: Catalog, model_id: str | None, voice_id: str) -> str:
    """The id of the requested model, or of the first one that has this voice.

    Raises:
        NotFound: there is none.
        InvalidRequest: the model lacks the voice, or it is a mix of voices that cannot be read.
    """
    try:
        return catalog.model_and_voice(model_id, voice_id)[0].entry.id
    except InvalidRequest as error:
        if model_id is not None or error.code != "voice_not_found":
            raise
    names = ", ".join(dict.fromkeys(voice.id for model in catalog.speech_models for voice in model.entry.voices))
    raise NotFound(f"voice_id: no such voice; available: {names}", param="voice_id", code="voice_not_found")


def elevenlabs_models(catalog: Catalog) -> list[ElevenLabsModel]:
    """The models that speak, as ElevenLabs' clients expect them."""
    found = []
    for entry in (model.entry for model in catalog.speech_models if "speech" in model.capabilities):
        codes = dict.fromkeys(voice.language.partition("-")[0] for voice in entry.voices)
        spoken = [ElevenLabsLanguage(language_id=code, name=code) for code in codes]
        said, name = entry.description, entry.id
        found.append(
            ElevenLabsModel(model_id=name, name=name, description=said, can_do_text_to_speech=True, languages=spoken)
        )
    return found


def _format(output_format: str) -> dict[str, Any]:
    """The fields ``response_format`` and ``sample_rate`` of an ``output_format``."""
    form, rate = output_format.split("_")[:2]
    return {"response_format": output_format if output_format in MEDIA_TYPES else form, "sample_rate": int(rate)}


def speech_request(catalog: Catalog, voice_id: str, body: TextToSpeech, query: SpeechQuery) -> SpeechRequest:
    """The request to ``POST /v1/audio/speech`` for the same audio.

    Raises:
        NotFound: no such model, or no model has the voice.
    """
    return SpeechRequest(
        model=choose_model(catalog, body.model_id, voice_id),
        input=body.text,
        voice=voice_id,
        **_format(query.output_format),
        speed=(body.voice_settings or VoiceSettings()).speed,
        seed=body.seed,
        language=body.language_code,
    )


def dialogue_as_speech(catalog: Catalog, body: TextToDialogue) -> tuple[str, DialogueText]:
    """The first voice of a dialogue, and the request for one text that has all of its voices.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: one model lacks one of the voices, a text names another one, or they are too long.
    """
    if len(body.text) > MAX_INPUT_CHARACTERS:
        message = f"inputs: at most {MAX_INPUT_CHARACTERS} characters together, with the names of voices"
        raise InvalidRequest(message, param="inputs", code="string_too_long")
    first, model = body.inputs[0].voice_id, body.model_id
    for number, item in enumerate(body.inputs):
        try:
            model = catalog.model_and_voice(model, item.voice_id)[0].entry.id
        except InvalidRequest as error:
            param = f"inputs.{number}.voice_id"
            message = f"{param}{error.message.removeprefix('voice')}"
            raise InvalidRequest(message, param=param, code=error.code) from error
        if voice_changes(item.text, ()):
            param = f"inputs.{number}.text"
            message = f"{param}: it names a voice: give what another voice says an input of its own"
            raise InvalidRequest(message, param=param, code="conflict")
    shared = body.model_dump(include={"seed", "language_code"})
    voices = tuple(item.voice_id for item in body.inputs)
    return first, DialogueText(text=body.text, model_id=model, voices=voices, **shared)


class VoiceSegments:
    """Who says the sentences of a dialogue, as they come. What one voice says alone is one segment.

    Args:
        body: of :func:`dialogue_as_speech`.
        plan: made of it.

    Raises:
        InvalidRequest: one of the inputs has no words.
    """

    def __init__(self, body: DialogueText, plan: Utterance) -> None:
        self._voices = body.voices
        self._firsts = [turn.first for turn in plan.turns] or [0]
        self._sentences = 0
        if len(self._firsts) != len(self._voices):
            message = f"inputs: {len(self._voices) - len(self._firsts)} of them have no words"
            raise InvalidRequest(message, param="inputs", code="unsupported_text")

    def of(self, sentences: Sequence[SentenceTimes], sample_rate: int) -> list[VoiceSegment]:
        """The segments of the next sentences."""
        found: list[VoiceSegment] = []
        end = 0
        for sentence in sentences:
            number = bisect(self._firsts, self._sentences) - 1
            self._sentences += 1
            begin, end = end, end + sum(len(part.text) for part in sentence.written)
            start_time, end_time = (round(sample / sample_rate, 6) for sample in sentence.span)
            if found and found[-1].dialogue_input_index == number:
                begin, start_time = found[-1].character_start_index, found.pop().start_time_seconds
            found.append(
                VoiceSegment(
                    voice_id=self._voices[number], start_time_seconds=start_time, end_time_seconds=end_time,
                    character_start_index=begin, character_end_index=end, dialogue_input_index=number,
                )
            )  # fmt: skip
        return found


def session_config(catalog: Catalog, voice_id: str, query: StreamQuery, first: SessionSettings) -> SessionConfig:
    """The configuration of a session whose first message is ``first``; raises as :func:`speech_request` does."""
    lengths = (first.generation_config or GenerationConfig()).chunk_length_schedule
    chunks: dict[str, Any] = {} if lengths is None else {"chunk_length_schedule": [round(length) for length in lengths]}
    return SessionConfig(
        model=choose_model(catalog, query.model_id, voice_id),
        voice=voice_id,
        **_format(query.output_format),
        seed=query.seed,
        input_format="ssml" if query.enable_ssml_parsing == "true" else "text",
        language=query.language_code,
        speed=(first.voice_settings or VoiceSettings()).speed,
        **chunks,
    )


class UtteranceAlignment:
    """The alignment that goes with the first audio of each utterance of a session.

    Args:
        sync: whether times are counted from the start of the session's audio, and not of the utterance's.
    """

    def __init__(self, *, sync: bool) -> None:
        self._sync = sync
        self._offset = 0
        self._next: tuple[CharacterTimes | None, CharacterTimes | None] = (None, None)

    async def begin(self, runner: SessionRunner, utterance: Turn) -> None:
        """Begin an utterance."""
        sentences = await runner.times(utterance)
        offset, rate = self._offset if self._sync else 0, runner.sample_rate
        as_written, as_read = written(sentences), normalized(sentences)
        self._next = _in_milliseconds(as_written, offset, rate), _in_milliseconds(as_read, offset, rate)
        self._offset += sentences[-1].span[1] if sentences else 0

    def take(self) -> dict[str, CharacterTimes | None]:
        """The fields ``alignment`` and ``normalizedAlignment`` of the next message."""
        alignment, as_read = self._next
        self._next = (None, None)
        return {"alignment": alignment, "normalizedAlignment": as_read}


def _in_milliseconds(alignment: Alignment, offset: int, sample_rate: int) -> CharacterTimes | None:
    """Characters and their times, with a space at the end, so that a client knows that the last word is complete."""
    characters, spans = list(alignment.characters), list(alignment.spans)
    if not characters:
        return None
    if not characters[-1].isspace():
        end = spans[-1][1]
        characters.append(" ")
        spans.append((end, end))
    starts, ends = (
        [round(1000 * (offset + sample) / sample_rate) for sample in samples] for samples in zip(*spans, strict=True)
    )
    durations = [end - start for start, end in zip(starts, ends, strict=True)]
    return CharacterTimes(chars=characters, charStartTimesMs=starts, charDurationsMs=durations)


def _in_seconds(alignment: Alignment, sample_rate: int) -> SecondsAlignment | None:
    if not alignment.characters:
        return None
    starts, ends = (
        [round(sample / sample_rate, 6) for sample in samples] for samples in zip(*alignment.spans, strict=True)
    )
    return SecondsAlignment(
        characters=list(alignment.characters), character_start_times_seconds=starts, character_end_times_seconds=ends
    )


def with_timestamps(
    audio_base64: str, sentences: Sequence[SentenceTimes], sample_rate: int, segments: VoiceSegments | None = None
) -> AudioWithTimestamps:
    """Audio, and the times of the sentences that begin in it; their spans are counted at ``sample_rate``."""
    found = AudioWithTimestamps(
        audio_base64=audio_base64,
        alignment=_in_seconds(written(sentences), sample_rate),
        normalized_alignment=_in_seconds(normalized(sentences), sample_rate),
    )
    if segments is None:
        return found
    return DialogueWithTimestamps(**vars(found), voice_segments=segments.of(sentences, sample_rate))

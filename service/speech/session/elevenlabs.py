"""The protocol of ElevenLabs' ``stream-input`` websocket: JSON both ways, sound in base64.

In comes ``{"text": " ", "voice_settings": {…}, "generation_config": {…}, "xi_api_key": …}`` first, then ``{"text": …,
"flush": true}``, and ``{"text": ""}`` at the end; out go ``{"audio": …, "isFinal": null, …}`` and, last, ``{"audio":
null, "isFinal": true, …}``. A sentence is sampled as soon as it is complete. An error is answered with
``{"message", "error", "code"}``, and the connection is closed with 1008.

Voices and models are those of this server. Nothing is ignored silently; of what ElevenLabs' clients send,

    ================================================  ====================================================
    supported                                         speed, flush, seed, model_id, output_format,
                                                      inactivity_timeout, auto_mode (every message is spoken
                                                      at once), xi_api_key
    accepted, with only this value                    language_code=en, enable_ssml_parsing=false,
                                                      sync_alignment=false, enable_logging=true,
                                                      apply_text_normalization=auto|on
    accepted because their clients send it by         stability, similarity_boost, style, use_speaker_boost
    default, without effect                           (voices have no styles), chunk_length_schedule,
                                                      try_trigger_generation, optimize_streaming_latency
                                                      (sampling never waits for more than a sentence)
    refused                                           everything else
    ================================================  ====================================================
"""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from service.catalog.catalog import Catalog
from service.catalog.models import Model
from service.errors import InvalidRequest, NotFound, ServiceError
from service.jobs.rate_limit import Limits
from service.jobs.schemas import SEEDS
from service.jobs.state import State
from service.speech.requests import new_session_state
from service.speech.schemas import MAX_INPUT_CHARACTERS
from service.speech.session.connection import SpeechConnection
from service.speech.session.messages import SessionConfig
from service.speech.session.runner import SessionRunner
from service.speech.session.state import Utterance
from service.telemetry.metrics import Transport
from service.ws.bounded_websocket import BoundedWebSocket, CloseConnection, Disconnected, IdleTimeout
from service.ws.channel import Channel
from service.ws.credentials import Credentials
from service.ws.messages import checked, parse_query

OutputFormat = Literal[
    "pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_44100", "pcm_48000", "mp3_44100_128"
]  # fmt: skip
_REASON_CHARACTERS: Final = 120
"""The most that fits in a close frame."""
_Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StreamQuery(BaseModel):
    """The parameters of the URL."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_id: str | None = Field(default=None, min_length=1, max_length=256)
    output_format: OutputFormat = "mp3_44100_128"
    seed: int | None = Field(default=None, ge=0, lt=SEEDS)
    inactivity_timeout: int = Field(default=20, ge=1, le=180)
    auto_mode: bool = False
    language_code: Literal["en"] | None = None
    enable_ssml_parsing: Literal["false"] = "false"
    sync_alignment: Literal["false"] = "false"
    enable_logging: Literal["true"] = "true"
    apply_text_normalization: Literal["auto", "on"] = "auto"
    optimize_streaming_latency: int = Field(default=0, ge=0, le=4)


class VoiceSettings(_Strict):
    """How the text is spoken."""

    speed: float = Field(default=1.0, ge=0.25, le=4.0, allow_inf_nan=False)
    stability: _Share | None = None
    similarity_boost: _Share | None = None
    style: _Share | None = None
    use_speaker_boost: bool | None = None


class GenerationConfig(_Strict):
    """How much text is collected before it is spoken."""

    chunk_length_schedule: list[Annotated[float, Field(ge=5, le=500)]] | None = Field(default=None, max_length=64)


class TextMessage(_Strict):
    """A piece of text; an empty one ends the input."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "The birch canoe slid "}, {"text": ""}]})

    text: str = Field(max_length=MAX_INPUT_CHARACTERS)
    flush: bool = False
    try_trigger_generation: bool = False


class FirstMessage(TextMessage):
    """The first message, which has the settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": " ", "voice_settings": {"speed": 1.0}}]})

    voice_settings: VoiceSettings | None = None
    generation_config: GenerationConfig | None = None
    xi_api_key: str | None = Field(default=None, max_length=256)


class AudioMessage(_Strict):
    """Some of the audio; the last message has none, and ``isFinal`` is true."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"audio": "SUQzBAAAAAAA", "isFinal": None, "normalizedAlignment": None, "alignment": None},
                {"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None},
            ]
        }
    )

    audio: str | None = Field(json_schema_extra={"contentEncoding": "base64"})
    isFinal: Literal[True] | None  # noqa: N815  # ElevenLabs' name
    normalizedAlignment: None = None  # noqa: N815
    alignment: None = None


class FailureMessage(_Strict):
    """What went wrong; the connection is closed after it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"message": "voice_id: no such voice; there is heart, joe", "error": "voice_not_found", "code": 1008}
            ]
        }
    )

    message: str
    error: str = Field(description="The code of the error.")
    code: Literal[1008] = Field(default=1008, description="The close code that follows.")


CHANNEL = Channel(
    id="elevenlabs",
    path="/v1/text-to-speech/{voice_id}/stream-input",
    summary="Speak a text while it is written, for clients of ElevenLabs",
    description="The first message has the settings, the next ones have text, and an empty text ends the input.",
    query=StreamQuery,
    client=(FirstMessage, TextMessage),
    server=(AudioMessage, FailureMessage),
    path_parameters={"voice_id": "One of `/v1/audio/voices`."},
)


def choose_model(catalog: Catalog, model_id: str | None, voice_id: str) -> Model:
    """The requested model, or the first one that has this voice.

    Raises:
        NotFound: there is none.
    """
    if model_id is not None:
        return catalog.model(model_id)
    speaking = [model for model in catalog.speech_models if "speech" in model.entry.capabilities]
    for model in speaking:
        if any(voice.id == voice_id for voice in model.entry.voices):
            return model
    names = ", ".join(dict.fromkeys(voice.id for model in speaking for voice in model.entry.voices))
    raise NotFound(f"voice_id: no such voice; there is {names}", param="voice_id", code="voice_not_found")


class ElevenLabsConnection(SpeechConnection):
    """One connection with this protocol.

    Args:
        state: of the service.
        limits: of callers.
        websocket: to the client.
        credentials: of the caller.
        voice_id: from the path.
        query: from the URL.
    """

    def __init__(
        self,
        state: State,
        limits: Limits,
        websocket: BoundedWebSocket,
        credentials: Credentials,
        voice_id: str,
        query: QueryParams,
    ) -> None:
        super().__init__(state, limits, websocket)
        self._credentials = credentials
        self._voice_id = voice_id
        self._query = query

    async def receive(self) -> None:
        """See :class:`WsConnection`."""
        try:
            query = parse_query(StreamQuery, self._query)
            first = checked(FirstMessage, await self._receive_first(query.inactivity_timeout))
            runner = self._runner(query, first)
            self.start_session(runner)
            await self._handle_message(runner, first, query)
            while True:
                await self._handle_message(runner, checked(TextMessage, await self._websocket.receive()), query)
        except ServiceError as error:
            await self.failed(error)

    def on_shutdown(self) -> None:
        """See :class:`WsConnection`. Sessions of this protocol cannot be resumed, so they run to their end."""
        if self.runner is None:
            super().on_shutdown()

    async def _receive_first(self, seconds: int) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await self._websocket.receive()
        except TimeoutError:
            raise IdleTimeout(1000, "") from None

    def _runner(self, query: StreamQuery, first: FirstMessage) -> SessionRunner:
        caller = self._credentials.check(first.xi_api_key)
        form, rate = query.output_format.split("_")[:2]
        config = SessionConfig(
            model=choose_model(self._state.catalog, query.model_id, self._voice_id).entry.id,
            voice=self._voice_id,
            response_format=form,  # type: ignore[arg-type]  # a format of the query, as is the rate
            sample_rate=int(rate),  # type: ignore[arg-type]
            seed=query.seed,
            speed=(first.voice_settings or VoiceSettings()).speed,
        )
        session_state = new_session_state(self._state.catalog, config)
        idle = query.inactivity_timeout
        return SessionRunner(self._state, self._limits, caller, session_state, self, None, idle_seconds=idle)

    async def _handle_message(self, runner: SessionRunner, message: TextMessage, query: StreamQuery) -> None:
        if runner.session_state.closing:
            raise InvalidRequest("text: the empty text has ended the input", param="text", code="wrong_order")
        if not message.text:
            await runner.close()
            return
        await runner.add_text(message.text)
        if message.flush or query.auto_mode:
            await runner.flush()

    # Messages to the client

    async def _send_audio(self, audio: str | None, final: Literal[True] | None) -> None:
        await self._websocket.send_json(AudioMessage(audio=audio, isFinal=final).model_dump())

    async def started(self, utterance: Utterance) -> None:
        """Nothing; see :class:`service.speech.session.utterance_sender.EventSink`, as for all that follow."""

    async def sound(self, data: bytes) -> None:
        """In base64."""
        await self._send_audio(base64.b64encode(data).decode(), None)

    async def progress(self, utterance: Utterance, samples: int, factor: float) -> None:
        """Nothing."""

    async def ended(self, utterance: Utterance, total_bytes: int, samples: int, sha256: str) -> None:
        """Nothing."""

    async def finished(self) -> None:
        """The last message."""
        await self._send_audio(None, final=True)
        raise CloseConnection(1000, "", final=True)

    async def failed(self, error: ServiceError, retry_after: int | None = None) -> None:
        """The reason; then the connection is closed."""
        self._state.metrics.refused(error, Transport.WEBSOCKET)
        await self._fail(error.message, error.code or error.type)

    async def on_idle(self, end: IdleTimeout) -> CloseConnection:
        """The reason; then the connection is closed."""
        try:
            await self._fail("Nothing came within inactivity_timeout.", "input_timeout_exceeded")
        except (CloseConnection, Disconnected) as error:
            return error if isinstance(error, CloseConnection) else end

    async def _fail(self, message: str, code: str) -> NoReturn:
        await self._websocket.send_json(FailureMessage(message=message, error=code).model_dump())
        raise CloseConnection(1008, code[:_REASON_CHARACTERS])

"""The client's events of ``WS /v1/realtime``, and the parameters of its URL.

Fields of one value are those that clients send where they want nothing of what it is about.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.voices import first_with_voice
from ancestral.errors import InvalidRequest
from ancestral.requests import MAX_INPUT_CHARACTERS, Described, RequestSeed, StrictRequest, VoiceChoice
from ancestral_models.entries import SPEEDS
from ancestral_service.speech.session.state import SessionConfig

FORMATS: Final = {"audio/pcm": "pcm", "audio/pcmu": "ulaw_8000", "audio/pcma": "alaw_8000"}
MAX_ITEMS: Final = 128
"""Items that a conversation remembers; the oldest are forgotten."""
_MODELS: Final = "gpt-realtime"
"""How OpenAI's names of models begin that stand for any model here."""


class RealtimeQuery(Described):
    """The parameters of the URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(default=None, min_length=1, max_length=256)
    """The id of a model or an alias; `gpt-realtime…` stands for any model."""
    seed: RequestSeed | None = None
    """Of every response. Drawn for each if absent."""

    def config(self, catalog: Catalog) -> SessionConfig:
        """The configuration that the session begins with: the first voice of the model.

        Raises:
            NotFound: there is no such model.
            InvalidRequest: it does not speak, or none does.
        """
        is_any = (self.model or _MODELS).startswith(_MODELS) and self.model not in catalog.aliases.models
        name = None if is_any else self.model
        models = catalog.speech_models if name is None else [catalog.speech_model(name, "speech")]
        speaking = (model for model in models if "speech" in model.capabilities)
        _, voice = first_with_voice(speaking, lambda model: model.entry.voices[0].id)
        return SessionConfig(model=name, voice=voice, seed=self.seed)


_Id = Annotated[str, Field(min_length=1, max_length=64)]
_Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]


class Format(StrictRequest):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24000] | None = None
    """Of PCM."""


class Input(StrictRequest):
    format: Format | None = None
    transcription: None = None
    noise_reduction: None = None
    turn_detection: None = None


class Output(StrictRequest):
    voice: VoiceChoice | None = None
    format: Format | None = None
    speed: float | None = Field(default=None, ge=SPEEDS[0], le=SPEEDS[1], allow_inf_nan=False)


class Audio(StrictRequest):
    input: Input = Input()
    output: Output = Output()


class Spoken(StrictRequest):
    """How a session or a response speaks."""

    audio: Audio = Audio()
    instructions: str | None = Field(default=None, max_length=MAX_INPUT_CHARACTERS)
    output_modalities: list[Literal["audio"]] | None = Field(default=None, min_length=1, max_length=1)
    tools: list[Any] = Field(default=[], max_length=0)
    tool_choice: Literal["auto", "none"] = "auto"
    max_output_tokens: Literal["inf"] = "inf"

    def applied_to(self, config: SessionConfig) -> SessionConfig:
        """A configuration with these changes; raises InvalidRequest if there is no such format."""
        output, form = self.audio.output, self.audio.output.format
        if form is not None and form.rate is not None and form.type != "audio/pcm":
            raise InvalidRequest(f"rate: {form.type} has no other than its own", param="rate", code="conflict")
        given = {"voice": output.voice, "speed": output.speed, "instructions": self.instructions}
        given["response_format"] = None if form is None else FORMATS[form.type]
        return config.model_copy(update={name: value for name, value in given.items() if value is not None})


class Session(Spoken):
    type: Literal["realtime"] = "realtime"
    model: str | None = None
    tracing: None = None


class Content(StrictRequest):
    type: Literal["input_text", "output_text"]
    text: str = Field(max_length=MAX_INPUT_CHARACTERS)


class Item(StrictRequest):
    """A message."""

    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: list[Content] = Field(min_length=1, max_length=64)
    id: _Id | None = None
    object: Literal["realtime.item"] = "realtime.item"
    status: Literal["completed", "incomplete", "in_progress"] = "completed"

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.content)


class ResponseOptions(Spoken):
    conversation: Literal["auto", "none"] = "auto"
    input: list[Item] | None = Field(default=None, max_length=MAX_ITEMS)
    metadata: _Metadata | None = Field(default=None, max_length=16)


class ClientEvent(StrictRequest):
    event_id: str | None = Field(default=None, max_length=512)


class SessionUpdate(ClientEvent):
    type: Literal["session.update"]
    session: Session


class ItemCreate(ClientEvent):
    type: Literal["conversation.item.create"]
    item: Item
    previous_item_id: _Id | None = None


class ItemDelete(ClientEvent):
    type: Literal["conversation.item.delete"]
    item_id: _Id


class ResponseCreate(ClientEvent):
    type: Literal["response.create"]
    response: ResponseOptions = ResponseOptions()


class ResponseCancel(ClientEvent):
    type: Literal["response.cancel"]
    response_id: _Id | None = None


EVENTS: Final[dict[str, type[ClientEvent]]] = {
    "session.update": SessionUpdate, "conversation.item.create": ItemCreate, "conversation.item.delete": ItemDelete,
    "response.create": ResponseCreate, "response.cancel": ResponseCancel,
}  # fmt: skip
"""What a client may send, by type."""

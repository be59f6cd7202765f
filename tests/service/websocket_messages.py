"""The messages of every websocket, as the code validates and sends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from ancestral.service.images import schemas as image_events
from ancestral.service.images import stream as images
from ancestral.service.images.schemas import IMAGE_MESSAGES
from ancestral.service.speech import schemas as events
from ancestral.service.speech.elevenlabs import schemas as elevenlabs
from ancestral.service.speech.elevenlabs.schemas import StreamQuery
from ancestral.service.speech.elevenlabs.websockets import CONTEXTS, STREAM_INPUT
from ancestral.service.speech.session import native
from ancestral.service.speech.session.state import SPEECH_MESSAGES
from ancestral.service.ws import ErrorEvent, NoQuery


@dataclass(frozen=True)
class Websocket:
    """One route."""

    query: type[BaseModel]
    client: tuple[type[BaseModel], ...]
    server: tuple[type[BaseModel], ...]


WEBSOCKETS: Final = {
    native.PATH: Websocket(
        native.SpeechQuery,
        tuple(SPEECH_MESSAGES.values()),
        (
            events.SessionCreated, events.AudioStart, events.AudioProgress, events.AudioDone, events.AudioCancelled,
            events.SessionDone, ErrorEvent,
        ),
    ),
    images.PATH: Websocket(
        NoQuery,
        tuple(IMAGE_MESSAGES.values()),
        (
            image_events.ImageStart, image_events.ImageCoarse, image_events.ImageDone, image_events.ImageCancelled,
            ErrorEvent,
        ),
    ),
    STREAM_INPUT: Websocket(
        StreamQuery,
        (elevenlabs.FirstMessage, elevenlabs.TextMessage),
        (elevenlabs.AudioMessage, elevenlabs.FailureMessage),
    ),
    CONTEXTS: Websocket(
        StreamQuery,
        (elevenlabs.ContextMessage,),
        (elevenlabs.ContextAudio, elevenlabs.ContextFailure, elevenlabs.FailureMessage),
    ),
}  # fmt: skip


def schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """The JSON schema of a message. Its `type` has a default in the code, not on the wire."""
    found = model.model_json_schema(mode=mode)
    if "const" in found["properties"].get("type", {}):
        found["required"] = ["type", *(name for name in found.get("required", []) if name != "type")]
    return found

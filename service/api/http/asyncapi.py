"""``/asyncapi.json``: the websockets as AsyncAPI 3.0, made from the models that the code validates messages with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ancestral.service import __version__
from ancestral.service.ws.channel import Channel

_REF: Final = "#/components/schemas/{model}"
_JSON: Final = "application/json"
_DESCRIPTION: Final = (
    "The websockets of the service; `/openapi.json` describes its HTTP routes. A server that requires API keys takes "
    "them from the headers of the handshake, `Authorization: Bearer KEY` or `xi-api-key: KEY`. A handshake that is "
    "refused is answered over HTTP with the same errors as any other request."
)


def document(channels: Iterable[Channel]) -> dict[str, Any]:
    """The AsyncAPI document: the server receives the messages of clients, and sends its own.

    Args:
        channels: every websocket route.
    """
    known = tuple(channels)
    kinds: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for channel in known:
        kinds += [(model, "validation") for model in (*channel.client, channel.query)]
        kinds += [(model, "serialization") for model in channel.server]
    references, definitions = models_json_schema(list(dict.fromkeys(kinds)), ref_template=_REF)
    schemas = definitions["$defs"]
    for schema in schemas.values():
        if "const" in schema["properties"].get("type", {}):  # it has a default in the code, not on the wire
            schema["required"] = ["type", *(name for name in schema.get("required", []) if name != "type")]
            schema["properties"]["type"].pop("default", None)
    queries = {channel.id: schemas.pop(channel.query.__name__) for channel in known}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ancestral",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": _JSON,
        "channels": {channel.id: _channel(channel, queries[channel.id]) for channel in known},
        "operations": {name: operation for channel in known for name, operation in _operations(channel).items()},
        "components": {
            "schemas": schemas,
            "messages": {
                message_id(model): _message(model, references[model, mode])
                for model, mode in dict.fromkeys(kinds)
                if model not in {channel.query for channel in known}
            },
        },
    }


def message_id(model: type[BaseModel]) -> str:
    """The name of a message: its ``type`` where it has one, such as ``audio.start``; else the name of its model."""
    kind = model.model_fields.get("type")
    return model.__name__ if kind is None else str(kind.annotation.__args__[0])  # type: ignore[union-attr]


def _channel(channel: Channel, query: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": channel.path,
        "summary": channel.summary,
        "description": channel.description,
        "messages": {
            message_id(model): {"$ref": f"#/components/messages/{message_id(model)}"}
            for model in (*channel.client, *channel.server)
        },
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }
    if channel.frames is not None:
        found["messages"]["frames"] = {
            "contentType": "application/octet-stream",
            "summary": "A binary frame.",
            "description": channel.frames,
            "payload": {"type": "string", "format": "binary"},
        }
    if channel.path_parameters:
        found["parameters"] = {name: {"description": text} for name, text in channel.path_parameters.items()}
    return found


def _operations(channel: Channel) -> dict[str, Any]:
    """The server receives what the client says, and sends the rest."""
    sent = [message_id(model) for model in channel.server] + ([] if channel.frames is None else ["frames"])
    names = {"receive": [message_id(model) for model in channel.client], "send": sent}
    return {
        f"{channel.id}.{action}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel.id}"},
            "messages": [{"$ref": f"#/channels/{channel.id}/messages/{name}"} for name in found],
        }
        for action, found in names.items()
    }


def _message(model: type[BaseModel], schema: dict[str, Any]) -> dict[str, Any]:
    extra = model.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    examples = extra["examples"]
    assert isinstance(examples, list)
    name = message_id(model)
    summary = (model.__doc__ or "").splitlines()[0]
    return {
        "name": name,
        "summary": summary,
        "contentType": _JSON,
        "payload": schema,
        "examples": [{"payload": example} for example in examples],
    }

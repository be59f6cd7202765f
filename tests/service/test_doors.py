"""Every door makes the same plan of the same fields: compared as objects, and nothing is sampled.

HTTP is what the others are compared with. tests/service/test_requests.py has wrong values; each door has a test of its
own that what it plans is what sounds, or is seen.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from ancestral import model as library
from ancestral.batch import Mapper
from ancestral.catalog.catalog import CatalogConfig
from ancestral.client.connection import Connection
from ancestral.client.server import RemoteModel, RemoteVoice
from ancestral.images.drawing import Drawing
from ancestral.loader import LoadedModels, load_models
from ancestral.model import Model
from ancestral.requests import ImageRequest, SpeechRequest, StrictRequest, checked
from ancestral.service.cli.local.mcp_tools import Tools
from ancestral.service.cli.local.model import LocalModels
from ancestral.service.images.schemas import ImageGenerate
from ancestral.service.jobs.planning import job_of
from ancestral.service.settings import Settings
from ancestral.service.speech.elevenlabs.requests import session_config, speech_request
from ancestral.service.speech.elevenlabs.schemas import FirstMessage, SpeechQuery, StreamQuery, TextToSpeech
from ancestral.service.speech.session.state import SessionConfig, new_session_state
from ancestral.speech.voice import Voice

Fields = dict[str, Any]
TEXT: Final = "CARA: Nginx slid on. [pause:300ms] Is it late?"
DOCUMENT: Final = "<speak>One <break time='200ms'/> <prosody rate='50%' pitch='+2st'>two</prosody>.</speak>"
SPOKEN: Final[Fields] = {
    "voice": "bob(2)+ann(4)", "seed": 9, "speed": 2.0, "pitch": 3.0, "intonation": 0.5, "sentence_pause": 1.5,
    "temperature": 0.5, "language": "es", "pronunciations": {"Nginx": "EH1 N JH IH0 N EH1 K S"},
    "voices": {"CARA": "ann(1)+bob(2)"}, "input_format": "ssml",
    "instructions": "Speak in a cheerful and positive tone.",
}  # fmt: skip
DRAWN: Final[dict[str, tuple[str, str, Any]]] = {
    "seed": ("rgb", "dog", 9), "temperature": ("rgb", "dog", 0.5), "guidance": ("rgb", "dog", 3.0),
    "style": ("rgb", "dog", "oil"), "background": ("palette", "elf", "opaque"), "palette": ("palette", "elf", "pico-8"),
    "best_of": ("palette", "elf", 4), "n": ("rgb", "dog", 3),
}  # fmt: skip
"""For each field a model, a prompt and a value."""


Door = Callable[["House", str, Fields], Any]
NOWHERE: Final = Connection("http://127.0.0.1:1")


class Planned(Exception):
    """What would be sampled now."""

    def __init__(self, plan: Any) -> None:
        self.plan = plan


def sent_alike(plan: Any) -> Any:
    """A plan, but for what says how its output is sent."""
    return replace(plan, response_format="", **{"token": ""} if isinstance(plan, Drawing) else {"sample_rate": None})


@dataclass
class House:
    """What the doors lead to."""

    models: LoadedModels
    command: Callable[..., object]
    folder: Path

    def plan(self, kind: type[StrictRequest], **fields: Any) -> Any:
        """The plan of a request over HTTP, but for what says how it is sent."""
        return sent_alike(job_of(self.models, Settings(), checked(kind, fields)).plan)

    def model(self, name: str = "tiny") -> Model:
        """A model of the library."""
        return Model(self.models, name)

    def run(self, *words: object, **fields: Any) -> None:
        """Run a command, with fields as its options."""
        (lexicon := self.folder / "lexicon.json").write_text(json.dumps(fields.get("pronunciations", {})))
        for name, value in fields.items():
            match name:
                case "input_format":
                    words += ("--ssml",)
                case "pronunciations":
                    words += ("--pronunciations", lexicon)
                case "voices":
                    words += tuple(word for pair in value.items() for word in ("--voices", "=".join(pair)))
                case _:
                    words += ("-n" if name == "n" else f"--{name.replace('_', '-')}", value)
        self.command(*map(str, words))


@pytest.fixture(scope="module")
def models(zoo: Path) -> LoadedModels:
    return load_models(CatalogConfig((zoo,), {"tts-1": "tiny"}, {"alloy": "bob"}), "native")


@pytest.fixture
def house(
    models: LoadedModels, zoo: Path, ancestral: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> House:
    def planned(plan: Any) -> NoReturn:
        raise Planned(plan)

    monkeypatch.setenv("ANCESTRAL_MODELS_DIR", str(zoo))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))  # commands have others
    monkeypatch.setattr(Voice, "speak", lambda self, text, **how: planned(self.utterance(text, **how)))
    monkeypatch.setattr(Voice, "speak_many", lambda self, said, threads=1: planned(next(iter(said))))
    monkeypatch.setattr(library, "Pictures", lambda sampler, drawing, *_: planned(drawing))
    return House(models, ancestral, tmp_path)


def found_at(door: Door, house: House, what: str, fields: Fields) -> Any:
    """The plan that is made behind a door: of a request, or of what would be sampled."""
    try:
        made = door(house, what, dict(fields))
    except Planned as planned:
        return sent_alike(planned.plan)
    return sent_alike(job_of(house.models, Settings(), made).plan)


# Speech


def by_session(house: House, text: str, fields: Fields) -> StrictRequest:
    return said_by(house, checked(SessionConfig, {"type": "session.config", "model": "tiny"} | fields), text)


def said_by(house: House, config: SessionConfig, text: str) -> StrictRequest:
    state = new_session_state(house.models, config)
    return state.config.request(text, state.next_seed)


def by_elevenlabs(house: House, text: str, fields: Fields) -> StrictRequest:
    body = {"text": text, "model_id": "tiny", "seed": fields["seed"], "language_code": fields.get("language")}
    body["voice_settings"] = {"speed": fields.get("speed", 1.0)}
    return speech_request(house.models, fields["voice"], checked(TextToSpeech, body), SpeechQuery(), {})


def by_elevenlabs_websocket(house: House, text: str, fields: Fields) -> StrictRequest:
    ssml = "true" if "input_format" in fields else "false"
    language = fields.get("language")
    query = StreamQuery(model_id="tiny", seed=fields["seed"], language_code=language, enable_ssml_parsing=ssml)
    first = checked(FirstMessage, {"text": " ", "voice_settings": {"speed": fields.get("speed", 1.0)}})
    return said_by(house, session_config(house.models, fields["voice"], query, first, {}), text)


def by_library(house: House, text: str, fields: Fields) -> object:
    return house.model().voice(fields.pop("voice")).speak(text, **fields)


def by_remote_library(house: House, text: str, fields: Fields) -> StrictRequest:
    find = partial(house.models.voice, house.models.speech_model("tiny", "speech"))
    speech = RemoteVoice(NOWHERE, "tiny", find(fields.pop("voice")), 16000, find).speak(text, **fields)
    return checked(SpeechRequest, speech._body)


def by_say(house: House, text: str, fields: Fields) -> None:
    house.run("say", text, "--model", "tiny", "-o", house.folder / "a.wav", **fields)


def by_read(house: House, text: str, fields: Fields) -> None:
    (book := house.folder / "book.txt").write_text(text)
    house.run("read", book, "--model", "tiny", "-o", house.folder / "a.wav", **fields)


def by_row(house: House, text: str, fields: Fields) -> object:
    return list(Mapper(house.model).map_rows([{"text": text} | fields]))


def by_tool(house: House, text: str, fields: Fields) -> object:
    return asyncio.run(Tools(LocalModels(), 1).say(text, None, model="tiny", **fields))  # type: ignore[arg-type]


SOME: Final = {"voice", "seed", "speed", "language"}
SPEAKING: Final[dict[Door, set[str]]] = {
    by_session: {*SPOKEN}, by_library: {*SPOKEN}, by_remote_library: {*SPOKEN}, by_say: {*SPOKEN}, by_row: {*SPOKEN},
    by_elevenlabs: SOME, by_elevenlabs_websocket: {*SOME, "input_format"}, by_tool: {*SOME, "input_format"},
    by_read: {"voice", "speed", "pronunciations", "voices"},
}  # fmt: skip
"""The doors of speech, and the fields that each has."""


@pytest.mark.parametrize(
    ("door", "field"), [(door, field) for door, fields in SPEAKING.items() for field in SPOKEN if field in fields]
)
def test_speech(house: House, door: Door, field: str) -> None:
    plain = {"voice": "ann", "seed": 7}
    text, fields = DOCUMENT if field == "input_format" else TEXT, plain | {field: SPOKEN[field]}
    expected = house.plan(SpeechRequest, model="tiny", input=text, **fields)
    assert expected != house.plan(SpeechRequest, model="tiny", input=TEXT, **plain)
    found = found_at(door, house, text, fields)
    assert replace(found, seed=expected.seed if door is by_read else found.seed) == expected  # a part has its own


@pytest.mark.parametrize("door", [by_session, by_elevenlabs, by_elevenlabs_websocket, by_library])
def test_an_alias_of_a_voice_is_resolved(house: House, door: Door) -> None:
    assert found_at(door, house, TEXT, {"voice": "alloy", "seed": 7}).voice == "bob"


# Pictures


def draws_by_websocket(house: House, prompt: str, fields: Fields) -> StrictRequest:
    return checked(ImageGenerate, {"type": "image.generate", "prompt": prompt} | fields).request()


def draws_by_library(house: House, prompt: str, fields: Fields) -> object:
    return house.model(fields.pop("model")).draw_many(prompt, fields.pop("n", 1), **fields)


def draws_by_remote_library(house: House, prompt: str, fields: Fields) -> StrictRequest:
    description = {"id": fields.pop("model"), "capabilities": ["image_generation"], "size": "8x6"}
    found = RemoteModel(NOWHERE, description).draw_many(prompt, fields.pop("n", 1), **fields)
    return checked(ImageRequest, found._body | {"n": len(found)})


def draws_by_command(house: House, prompt: str, fields: Fields) -> None:
    house.run("draw", prompt, "-o", house.folder / "a.png", **fields)


def draws_by_row(house: House, prompt: str, fields: Fields) -> object:
    return list(Mapper(partial(house.model, fields.pop("model"))).map_rows([{"prompt": prompt} | fields]))


def draws_by_tool(house: House, prompt: str, fields: Fields) -> object:
    return asyncio.run(Tools(LocalModels(), 1).draw(prompt, None, **fields))  # type: ignore[arg-type]


DRAWING: Final[dict[Door, set[str]]] = {
    draws_by_websocket: {*DRAWN}, draws_by_library: {*DRAWN}, draws_by_remote_library: {*DRAWN},
    draws_by_command: {*DRAWN}, draws_by_row: {*DRAWN} - {"n"}, draws_by_tool: {"seed", "n"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("door", "field"), [(door, field) for door, fields in DRAWING.items() for field in DRAWN if field in fields]
)
def test_pictures(house: House, door: Door, field: str) -> None:
    model, prompt, value = DRAWN[field]
    plain = {"model": model, "seed": 7}
    expected = house.plan(ImageRequest, prompt=prompt, **plain | {field: value})
    assert expected != house.plan(ImageRequest, prompt=prompt, **plain)
    assert found_at(door, house, prompt, plain | {field: value}) == expected

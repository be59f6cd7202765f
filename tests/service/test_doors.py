"""Every door makes the same plan of the same fields: compared as objects, and nothing is sampled.

HTTP is what the others are compared with, and held by a golden file, as are the fields in which a door's plan differs
because it sends its output otherwise. tests/service/test_requests.py has wrong values; each door has a test of its own
that what it plans is what sounds, or is seen.
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
from ancestral.catalog.seeds import part_seed
from ancestral.client.connection import Connection
from ancestral.client.server import RemoteModel, RemoteVoice
from ancestral.command_line import local_models
from ancestral.images.drawing import Drawing, picture_recipe
from ancestral.loader import LoadedModels, load_models
from ancestral.model import Model
from ancestral.requests import ImageRequest, SpeechRequest, StrictRequest, checked
from ancestral.speech.voice import Voice
from ancestral_integrations.mcp_tools import Tools
from ancestral_service.broker.job import Job, Priority
from ancestral_service.images.schemas import ImageGenerate
from ancestral_service.jobs import plans
from ancestral_service.jobs.planning import job_of
from ancestral_service.jobs.plans import ArtifactInfo, dump, manifest_of
from ancestral_service.settings import Settings
from ancestral_service.speech.elevenlabs.requests import session_config, speech_request
from ancestral_service.speech.elevenlabs.schemas import FirstMessage, SpeechQuery, StreamQuery, TextToSpeech
from ancestral_service.speech.session.state import SessionConfig, new_session_state
from tests.golden_files import Golden
from tests.service.images.pictures import BODIES, COMPLETION, INTERPOLATION, KEPT, base64_of, mask_of, noise, written
from tests.service.speech.sounds import in_base64, recording
from tests.service.toys import GENERATION

Fields = dict[str, Any]
TEXT: Final = "CARA: Nginx slid on. [pause:300ms] Is it late?"
DOCUMENT: Final = "<speak>One <break time='200ms'/> <prosody rate='50%' pitch='+2st'>two</prosody>.</speak>"
SPOKEN: Final[Fields] = {
    "voice": "bob(2)+ann(4)", "seed": 9, "speed": 2.0, "pitch": 3.0, "intonation": 0.5, "sentence_pause": 1.5,
    "temperature": 0.5, "language": "es", "pronunciations": {"Nginx": "EH1 N JH IH0 N EH1 K S"},
    "voices": {"CARA": "ann(1)+bob(2)"}, "input_format": "ssml",
    "instructions": "Speak in a cheerful and positive tone.", "lead_in": 400, "tail": 0,
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
        """The plan of a request over HTTP."""
        return job_of(self.models, Settings(), checked(kind, fields)).plan

    def model(self, name: str = "tiny") -> Model:
        """A model of the library."""
        return Model(self.models, name)

    def run(self, *words: object, **fields: Any) -> None:
        """Run a command, with fields as its options."""
        (lexicon := self.folder / "lexicon.json").write_text(json.dumps(fields.get("pronunciations", {})))
        for name, value in fields.items():
            match name:
                case "input_format":
                    words += ("--input-format", "ssml")
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
        return planned.plan
    return job_of(house.models, Settings(), made).plan


def payload(plan: Any) -> Fields:
    """A plan as a job has it, but for the secret of its URLs."""
    fields: Fields = json.loads(dump(plan))
    return fields | ({"token": bool(fields["token"])} if "token" in fields else {})


def sent_otherwise(plan: Any, http: Any) -> Fields:
    """In what a plan differs from that of the same request over HTTP."""
    other = payload(http)
    return {name: value for name, value in payload(plan).items() if value != other[name]}


# Speech


def by_session(house: House, text: str, fields: Fields) -> StrictRequest:
    return said_by(house, checked(SessionConfig, {"type": "session.config", "model": "tiny"} | fields), text)


def said_by(house: House, config: SessionConfig, text: str) -> StrictRequest:
    state = new_session_state(house.models, config)
    return state.config.request(text, state.next_seed)


def by_elevenlabs(house: House, text: str, fields: Fields) -> StrictRequest:
    body = {"text": text, "model_id": "tiny", "seed": fields["seed"], "language_code": fields.get("language")}
    body["voice_settings"] = {"speed": fields.get("speed", 1.0)}
    return speech_request(house.models, fields["voice"], checked(TextToSpeech, body), SpeechQuery())


def by_elevenlabs_websocket(house: House, text: str, fields: Fields) -> StrictRequest:
    ssml = "true" if "input_format" in fields else "false"
    language = fields.get("language")
    query = StreamQuery(model_id="tiny", seed=fields["seed"], language_code=language, enable_ssml_parsing=ssml)
    first = checked(FirstMessage, {"text": " ", "voice_settings": {"speed": fields.get("speed", 1.0)}})
    return said_by(house, session_config(house.models, fields["voice"], query, first), text)


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
    return asyncio.run(Tools(local_models(), 1).say(text, None, model="tiny", **fields))  # type: ignore[arg-type]


PLAIN: Final[Fields] = {"voice": "ann", "seed": 7}
SOME: Final = {"voice", "seed", "speed", "language"}
IN_PIECES: Final = {*SPOKEN} - {"lead_in", "tail"}
SPEAKING: Final[dict[Door, set[str]]] = {
    by_session: IN_PIECES, by_library: {*SPOKEN}, by_remote_library: {*SPOKEN}, by_say: {*SPOKEN}, by_row: {*SPOKEN},
    by_elevenlabs: SOME, by_elevenlabs_websocket: {*SOME, "input_format"}, by_tool: {*SOME, "input_format"},
    by_read: {"voice", "speed", "pronunciations", "voices"},
}  # fmt: skip
"""The doors of speech, and the fields that each has."""


def spoken_over_http(house: House, field: str) -> tuple[str, Fields, Any]:
    """The text and the fields of the row of a field, and the plan that they have over HTTP."""
    text, fields = DOCUMENT if field == "input_format" else TEXT, PLAIN | {field: SPOKEN[field]}
    return text, fields, house.plan(SpeechRequest, model="tiny", input=text, **fields)


@pytest.mark.parametrize(
    ("door", "field"), [(door, field) for door, fields in SPEAKING.items() for field in SPOKEN if field in fields]
)
def test_speech(house: House, golden: Golden, door: Door, field: str) -> None:
    text, fields, http = spoken_over_http(house, field)
    assert http != house.plan(SpeechRequest, model="tiny", input=TEXT, **PLAIN)
    found = found_at(door, house, text, fields)
    golden("plans", sent_otherwise(found, http), f"{door.__name__} {field}")
    seed = http.seed if door is by_read else found.seed  # a part has its own
    assert replace(sent_alike(found), seed=seed) == sent_alike(http)


@pytest.mark.parametrize("field", sorted(IN_PIECES))
def test_a_text_in_three_pieces(house: House, field: str) -> None:
    """A field that acts between sentences acts between those of two turns, too."""
    text, fields, http = spoken_over_http(house, field)
    state = new_session_state(house.models, checked(SessionConfig, {"model": "tiny"} | fields))
    turns, third = list[Any](), len(text) // 3
    for piece in (text[:third], text[third : 2 * third], text[2 * third :], None):
        state.close() if piece is None else state.add_text(piece)
        while said := state.take():
            turns.append(sent_alike(job_of(house.models, Settings(), state.config.request(said, state.next_seed)).plan))
            state.add_utterance("", len(turns[-1].sentences), 0)
            state.end_utterance(0, 0.0, 0.0)
    assert len(turns) == (1 if field == "input_format" else 2)
    assert sounds(turns) == sounds([http])
    of_text = ("input", "plain_input", "sentences", "seed", "turns", "pronunciations", "skipped")
    for turn in turns:
        assert replace(turn, **{name: getattr(http, name) for name in of_text}) == sent_alike(http)


def sounds(plans: list[Any]) -> list[tuple[Any, ...]]:
    """What each sentence of some plans sounds like: its seed and voice, phonemes, and how each is said or how long."""
    return [
        (part_seed(plan.seed, index), plan.voice_of(index), sentence.phones, sentence.controls)
        for plan in plans
        for index, sentence in enumerate(plan.sentences)
    ]


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
    return asyncio.run(Tools(local_models(), 1).draw(prompt, None, **fields))  # type: ignore[arg-type]


DRAWING: Final[dict[Door, set[str]]] = {
    draws_by_websocket: {*DRAWN}, draws_by_library: {*DRAWN}, draws_by_remote_library: {*DRAWN},
    draws_by_command: {*DRAWN}, draws_by_row: {*DRAWN} - {"n"}, draws_by_tool: {"seed", "n"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("door", "field"), [(door, field) for door, fields in DRAWING.items() for field in DRAWN if field in fields]
)
def test_pictures(house: House, golden: Golden, door: Door, field: str) -> None:
    model, prompt, value = DRAWN[field]
    plain = {"model": model, "seed": 7}
    http = house.plan(ImageRequest, prompt=prompt, **plain | {field: value})
    assert sent_alike(http) != sent_alike(house.plan(ImageRequest, prompt=prompt, **plain))
    found = found_at(door, house, prompt, plain | {field: value})
    golden("plans", sent_otherwise(found, http), f"{door.__name__} {field}")
    assert sent_alike(found) == sent_alike(http)


# Every kind of plan, over HTTP

_ROUTE: Final = {kind.__name__: kind for kind in plans.REQUESTS.values()}
_SHOWN: Final = base64_of(written(noise("rgb")))
REQUESTED: Final[dict[str, tuple[str, Fields]]] = {
    **{f"speech {field}": ("SpeechRequest", {"model": "tiny"} | PLAIN | {"input": TEXT, field: value})
       for field, value in SPOKEN.items() if field != "input_format"},
    "speech input_format": ("SpeechRequest", {"model": "tiny"} | PLAIN | {"input": DOCUMENT, "input_format": "ssml"}),
    **{f"picture {field}": ("ImageRequest", {"model": model, "seed": 7, "prompt": prompt, field: value})
       for field, (model, prompt, value) in DRAWN.items()},
    "sheet": ("ImageRequest", {"model": "palette", "prompt": "elf", "sheet": "arms", "seed": 7}),
    "generation": ("GenerationRequest", GENERATION | {"prompt_audio": in_base64(recording(0.1))}),
    "completion": ("CompletionRequest", COMPLETION | {"image": _SHOWN, "style": "oil"}),
    "edit": ("EditRequest", BODIES["edits"] | {
        "image": base64_of(written(noise("palette"))), "mask": base64_of(mask_of(KEPT)), "palette": "pico-8"}),
    "interpolation": ("InterpolationRequest", INTERPOLATION | {"to": [0.5] * 5, "style": "oil"}),
    "reconstruction": ("ReconstructionRequest",
                       BODIES["reconstructions"] | {"image": base64_of(written(noise("autoencoder"))), "n": 2}),
    "portrait": ("PortraitRequest", BODIES["portraits"] | {"image": base64_of(written(noise("portraits")))}),
}  # fmt: skip
"""For each row of the golden file a request."""


@pytest.mark.parametrize("row", REQUESTED)
def test_over_http(house: House, golden: Golden, row: str) -> None:
    """The plan; the request of its manifest; the recipe of its last picture as text, in the order that files have."""
    kind, fields = REQUESTED[row]
    made = job_of(house.models, Settings(), checked(_ROUTE[kind], fields))
    job = Job(made.plan.kind, Priority.INTERACTIVE, made.model.entry.id, "0" * 64, "", "")
    manifest = manifest_of(job, made.plan, ArtifactInfo("", 0, "0" * 64, 0, "0" * 64)).request
    found: Fields = {"plan": payload(made.plan), "manifest": manifest}
    if isinstance(made.plan, Drawing):
        recipe = picture_recipe(made.plan, made.model, made.plan.count - 1) | {"model_sha256": ""}
        found["recipe"] = json.dumps(recipe)
    mask = getattr(made.plan, "mask", "mask")  # a PNG file, which another version of zlib writes otherwise
    golden("plans", json.loads(json.dumps(found).replace(mask, "mask")), row)

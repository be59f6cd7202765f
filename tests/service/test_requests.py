"""Wrong values of every field of every request, in process: the error names the field.

Each route has one case over HTTP, or its websocket, beside its other tests; tests/service/api/test_fuzz.py sends
thousands.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, ValidationError

from ancestral import requests
from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.catalog.seeds import EXACT, draw_seed, part_seed
from ancestral.errors import AncestralError
from ancestral.service.errors import status_of
from ancestral.service.images.schemas import ImageGenerate
from ancestral.service.jobs.planning import job_of
from ancestral.service.jobs.schemas import JobsQuery
from ancestral.service.settings import Settings
from ancestral.service.speech.elevenlabs.schemas import FirstMessage, StreamQuery, TextToSpeech
from ancestral.service.speech.session.state import InputText, SessionConfig
from tests.service.images.pictures import COMPLETION, DRAWING, INTERPOLATION, base64_of, noise, written
from tests.service.toys import GENERATION, SPEECH
from tests.service.ws_client import CONFIG

PICTURE: Final = base64_of(written(noise("rgb")))
VALID: Final[dict[type[BaseModel], dict[str, Any]]] = {
    requests.SpeechRequest: SPEECH, requests.GenerationRequest: GENERATION, requests.ImageRequest: DRAWING,
    requests.CompletionRequest: COMPLETION | {"image": PICTURE}, requests.InterpolationRequest: INTERPOLATION,
    requests.DecodingRequest: {"model": "autoencoder"}, SessionConfig: {"type": "session.config"} | CONFIG,
    InputText: {"type": "input.text", "text": "Hello."},
    ImageGenerate: {"type": "image.generate", "model": "rgb", "prompt": "dog"}, TextToSpeech: {"text": "Hello."},
    FirstMessage: {"text": " "}, StreamQuery: {},
}  # fmt: skip
NAN, INF = float("nan"), float("inf")
WRONG: Final[dict[str, dict[str, list[Any]]]] = {
    "model": {"string_too_short": [""], "string_type": [7]},
    "voice": {"": ["", "a" * 300, 3, {"name": "ann"}, {"id": "ann", "more": 1}]},
    "input": {"string_too_short": [""], "string_too_long": ["a" * 4097], "string_type": [7, ["a"]]},
    "text": {"string_too_long": ["a" * 4097], "string_type": [5], "string_unicode": ["\ud800"]},
    "prompt": {
        "string_too_short": [""], "string_too_long": ["x" * 4097], "string_type": [7, ["dog"]],
        "string_unicode": ["\ud800"],
    },
    "style": {"string_too_short": [""]},
    "speed": {"less_than_equal": [9], "greater_than_equal": [0.2], "float_type": ["1", True], "finite_number": [NAN]},
    "pitch": {"less_than_equal": [12.5], "greater_than_equal": [-13], "float_type": ["high"], "finite_number": [NAN]},
    "intonation": {"less_than_equal": [2.1], "greater_than_equal": [-0.1], "float_type": [True]},
    "sentence_pause": {"less_than_equal": [10.5], "greater_than_equal": [-0.1], "float_type": ["1"]},
    "temperature": {"less_than_equal": [2.1], "greater_than_equal": [-0.1], "finite_number": [NAN, INF]},
    "guidance": {
        "less_than_equal": [10.1], "greater_than_equal": [-0.1], "finite_number": [INF], "float_type": ["2"],
    },
    "seed": {"less_than": [2**63], "greater_than_equal": [-1]},
    "duration": {"greater_than": [0, -1.0], "less_than_equal": [3600.1], "float_type": ["1"]},
    "n": {"greater_than_equal": [0], "less_than_equal": [11]},
    "rows": {"greater_than_equal": [0, -1], "int_type": ["2", 1.5, True]},
    "steps": {"greater_than_equal": [1], "less_than_equal": [requests.MAX_STEPS + 1], "int_type": ["3"]},
    "partial_images": {"less_than_equal": [4]},
    "size": {
        "string_type": [8, [8, 6]],
        "string_pattern_mismatch": [
            "", "8", "8x", "x6", "08x06", "8X6", "8x6 ", "-8x6", "8.0x6", "80000x60000", "8x6\n",
        ],
    },
    "image": {"string_type": [7, True, [], {"b64_json": "iVBORw0KGgo="}], "string_too_short": [""]},
    "prompt_audio": {"string_too_short": [""], "string_type": [7]},
    "from": {"": ["", 7, {"id": "cat"}, [0.0] * 5000, [0.0, "0"], [0.0, None], [0.0, NAN], [1e7], ["cow"]]},
    "sample_rate": {"literal_error": [11025, "16000"]},
    "response_format": {"literal_error": ["ogg", "binary"]},
    "output_format": {"literal_error": ["gif", "PNG", "ulaw_16000", "mp3_24000_48"]},
    "stream_format": {"literal_error": ["websocket"]},
    "background": {"literal_error": ["white"]},
    "quality": {"literal_error": ["high"]},
    "language": {"string_too_short": [""], "string_type": [7]},
    "language_code": {"string_too_long": ["e" * 65]},
    "enable_logging": {"literal_error": ["false"]},
    "enable_ssml_parsing": {"literal_error": ["maybe"]},
    "apply_text_normalization": {"literal_error": ["off"]},
    "inactivity_timeout": {"less_than_equal": [181]},
    "frog": {"unknown_parameter": [1]},
}  # fmt: skip
"""Values of each field by the code of their error; no code where there are several."""


def wrong_values() -> Iterator[Any]:
    for kind in VALID:
        names = {field.alias or name for name, field in kind.model_fields.items()}
        for name in WRONG:
            if name in names or name == "frog":
                yield pytest.param(kind, name, id=f"{kind.__name__}-{name}")


@pytest.mark.parametrize(("kind", "field"), list(wrong_values()))
def test_a_wrong_value_is_named(kind: type[BaseModel], field: str) -> None:
    for code, values in WRONG[field].items():
        for value in values:
            error = refusal(lambda changed=VALID[kind] | {field: value}: requests.checked(kind, changed))
            assert (status_of(error), (error.param or "").split(".")[0]) == (400, field), value
            assert error.message.startswith(f"{error.param}: ")
            assert code in ("", error.code), (value, error.code)


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        *((requests.SpeechRequest, {"voice": voice}, "voice: must be an id, an object with an id, or weights of voices")
          for voice in ({}, 3, {"name": "ann"})),
        (requests.SpeechRequest, {"voice": "a" * 300}, "voice: must have at most 256 characters"),
        (requests.SpeechRequest, {"voice": ""}, "voice: must have at least 1 characters"),
        (requests.SpeechRequest, {"input": "a\ud800"}, "input: contains an unpaired surrogate"),
        *((kind, {"seed": seed}, f"seed: {words}")
          for kind in (requests.SpeechRequest, requests.ImageRequest) for seed, words in (
            ("", "must have 1 to 256 characters"), ("a" * 257, "must have 1 to 256 characters"),
            ("1.5", "must be a whole number, or a text that is not a number"), ("-1", "must be at least 0"),
            ("9" * 25, "must be less than 9223372036854775808"), (True, "must be a whole number"),
            (["alice"], "must be a whole number"))),
        (requests.SpeechRequest, {"seed": 2**63}, "seed: must be less than 9223372036854775808"),
        (requests.SpeechRequest, {"speed": "fast"}, "speed: must be a number"),
        (requests.SpeechRequest, {"input": ""}, "input: must have at least 1 characters"),
        (requests.SpeechRequest, {"stream_format": "x"}, "stream_format: must be 'audio', 'sse' or 'json'"),
        (requests.ImageRequest, {"n": 11}, "n: must be at most 10"),
        (JobsQuery, {"limit": "many"}, "limit: must be a whole number"),
        (JobsQuery, {"limit": 101}, "limit: must be at most 100"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_plain_words(kind: type[BaseModel], wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(VALID.get(kind, {}) | wrong)
    assert requests.from_validation(caught.value.errors()).message.startswith(message)


@pytest.mark.parametrize("kind", [kind for kind in VALID if kind is not StreamQuery], ids=lambda kind: kind.__name__)
def test_null_is_an_absent_optional_field(kind: type[BaseModel]) -> None:
    optional = {field.alias or name: None for name, field in kind.model_fields.items() if not field.is_required()}
    assert kind.model_validate(optional | VALID[kind]) == kind.model_validate(VALID[kind])


def test_a_seed_survives_javascript() -> None:
    assert max(draw_seed() for _ in range(1000)) < EXACT == 2**53
    assert len({part_seed(2**63 - 1, index) for index in range(1000)} - {2**63 - 1}) == 999
    for seed in (EXACT - 1, EXACT, 2**63 - 1):
        (told,) = {
            value.model_dump(mode=mode)["seed"]
            for value in map(_seeded, (seed, str(seed)))
            for mode in ("json", "python")
        }
        assert told == (seed if seed < EXACT else str(seed))
        assert _seeded(told).seed == seed


def _seeded(seed: object) -> requests.SpeechRequest:
    return requests.SpeechRequest(**SPEECH | {"seed": seed})


@pytest.mark.parametrize("kind", list(VALID), ids=lambda kind: kind.__name__)
def test_a_missing_field_is_named(kind: type[BaseModel]) -> None:
    for name, field in kind.model_fields.items():
        if field.is_required():
            known = field.alias or name
            body = {key: value for key, value in VALID[kind].items() if key != known}
            error = refusal(lambda body=body: requests.checked(kind, body))
            assert (error.param, error.code) == (known, "missing_parameter")


def refusal(act: Callable[[], object]) -> AncestralError:
    """The error that something is refused with."""
    with pytest.raises(AncestralError) as caught:
        act()
    return caught.value


@pytest.fixture(scope="module")
def catalog(zoo: Path) -> Catalog:
    return load_catalog(CatalogConfig((zoo,)))


NO_SOUND: Final = base64.b64encode(b"no sound file").decode()
REFUSED: Final[dict[type[requests.StrictRequest], list[tuple[dict[str, Any], str, str]]]] = {
    requests.SpeechRequest: [
        ({"input": " \n\t "}, "input", "unsupported_text"),
        ({"input": "Hello\0world"}, "input", "unsupported_text"),
        ({"input": "1" * 4000, "speed": 0.25}, "input", "too_much_sound"),
        ({"input": 'Hi <break time="1s"/> there'}, "input", "unsupported_text"),
        ({"input": "你好，世界"}, "input", "unsupported_text"),
        ({"language": "tlh"}, "language", "unsupported_language"),
        ({"voice": "nobody"}, "voice", "voice_not_found"),
        ({"voice": {"id": "nobody"}}, "voice", "voice_not_found"),
        ({"model": "wavenet-xx"}, "model", "model_not_found"),
        ({"model": "../tiny"}, "model", "model_not_found"),
        ({"model": "free"}, "model", "model_not_capable"),
        ({"model": "rgb"}, "model", "model_not_capable"),
        ({"model": "broken", "pitch": 1.0}, "pitch", "unsupported_parameter"),
        ({"model": "broken", "intonation": 0.5}, "intonation", "unsupported_parameter"),
        ({"response_format": "opus", "sample_rate": 44100}, "sample_rate", "unsupported_sample_rate"),
        ({"instructions": "Speak like a pirate."}, "instructions", "unsupported_parameter"),
    ],
    requests.GenerationRequest: [
        ({"model": "nothing"}, "model", "model_not_found"),
        ({"model": "tiny"}, "model", "model_not_capable"),
        ({"voice": "nobody"}, "voice", "voice_not_found"),
        *(
            ({"prompt_audio": text}, "prompt_audio", "invalid_base64")
            for text in ("not base64!", "é", "data:audio/wav;base64,UklGRg==")
        ),
        ({"prompt_audio": NO_SOUND}, "prompt_audio", "invalid_audio"),
    ],
    requests.ImageRequest: [
        ({"model": "dall-e-3"}, "model", "model_not_found"),
        ({"model": "tiny"}, "model", "model_not_capable"),
        ({"model": "autoencoder", "prompt": None}, "model", "model_not_capable"),
        ({"prompt": None}, "prompt", "missing_parameter"),
        ({"class": "dog"}, "class", "conflict"),
        ({"style": "pencil"}, "style", "style_not_found"),
        ({"model": "binary", "prompt": "one", "style": "oil"}, "style", "style_not_found"),
        ({"background": "transparent"}, "background", "model_not_capable"),
        (
            {"model": "palette", "prompt": "elf", "background": "transparent", "output_format": "jpeg"},
            "background",
            "conflict",
        ),
        ({"prompt": "dog, cow"}, "prompt", "conflict"),
        ({"prompt": "dog, oil", "style": "crayon"}, "style", "conflict"),
        ({"prompt": "dog, frog"}, "prompt", "class_not_found"),
        ({"prompt": ","}, "prompt", "class_not_found"),
        ({"model": "grey", "prompt": None, "guidance": 2.0}, "guidance", "model_not_capable"),
        ({"model": "grey", "prompt": "dog"}, "prompt", "class_not_found"),
        ({"model": "grey", "prompt": None, "class": "any"}, "class", "class_not_found"),
        ({"model": "grey", "prompt": None, "style": "any"}, "style", "style_not_found"),
        ({"partial_images": 1}, "partial_images", "needs_stream"),
        ({"stream": True, "response_format": "url"}, "response_format", "conflict"),
        *(
            ({"size": size}, "size", "invalid_size")
            for size in ("8x5", "9x6", "12x9", "4x3", "6x8", "16x6", "1x1", "4104x3078", "9999x9999", "1024x1024")
        ),
    ],
    requests.CompletionRequest: [
        ({"prompt": None}, "prompt", "missing_parameter"),
        ({"rows": 7}, "rows", ""),
        ({"rows": 10**30}, "rows", ""),
        ({"size": "9x9"}, "size", "invalid_size"),
        *(
            ({"image": text}, "image", "invalid_base64")
            for text in (
                "!", "iVBORw0KGgo", "iVBO Rw0K", "é", "\x00", "data:", "data:image/png,abc", "data:base64", "====", "7",
                "http://127.0.0.1/a.png", "file:///etc/passwd",
            )
        ),
        ({"image": "data:;base64,"}, "image", ""),
    ],
    requests.InterpolationRequest: [
        ({"to": "zebra"}, "to", "class_not_found"),
        ({"to": "cows"}, "to", "class_not_found"),
        ({"from": []}, "from", "invalid_embedding"),
        ({"from": [0.0] * 4}, "from", "invalid_embedding"),
        ({"to": [0.0] * 6}, "to", "invalid_embedding"),
        ({"style": "pencil"}, "style", "style_not_found"),
        ({"size": "7x6"}, "size", "invalid_size"),
        ({"model": "grey"}, "model", "model_not_capable"),
        ({"model": "tiny"}, "model", "model_not_capable"),
        *(
            ({"model": "autoencoder", "from": [0.0] * 5, "to": [1.0] * 5} | changes, next(iter(changes)), "")
            for changes in ({"from": "cat"}, {"to": [0.0] * 4}, {"style": "oil"}, {"guidance": 2})
        ),
    ],
}  # fmt: skip
"""What the model, or the rest of the request, makes wrong; no code where another test has it."""


@pytest.mark.parametrize("kind", list(REFUSED), ids=lambda kind: kind.__name__)
def test_what_a_model_cannot_do_is_refused_by_name(kind: type[requests.StrictRequest], catalog: Catalog) -> None:
    for changes, param, code in REFUSED[kind]:
        body = {name: value for name, value in (VALID[kind] | changes).items() if value is not None}
        error = refusal(lambda body=body: job_of(catalog, Settings(), requests.checked(kind, body)))
        assert (status_of(error), error.param) == (404 if error.code == "model_not_found" else 400, param), changes
        assert code in ("", error.code), (changes, error.code)
        assert error.message.startswith(f"{param}: "), changes
        assert "passwd" not in error.message

"""Wrong values of every field of every request, in process: the error names the field.

Each route has one case over HTTP, or its websocket, beside its other tests; tests/service/api/test_fuzz.py sends
thousands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from ancestral import requests
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.seeds import EXACT, draw_seed, part_seed
from ancestral.errors import AncestralError
from ancestral_service.errors import status_of
from ancestral_service.images.schemas import ImageGenerate
from ancestral_service.jobs.planning import job_of
from ancestral_service.settings import Settings
from ancestral_service.speech.elevenlabs.schemas import FirstMessage, StreamQuery, TextToSpeech
from ancestral_service.speech.session.state import InputText, SessionConfig
from ancestral_service.ws import NoQuery, parse_query
from tests.service.images.pictures import COMPLETION, DRAWING, INTERPOLATION, base64_of, noise, written
from tests.service.refusals import rows
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


def wrong_values() -> Iterator[Any]:
    for kind in VALID:
        names = {field.alias or name for name, field in kind.model_fields.items()}
        for sent, told in rows("fields"):
            name, code = told.split()
            if name in names or name == "frog":
                yield pytest.param(kind, name, code, json.loads(sent), id=f"{kind.__name__}-{name}-{code}")


@pytest.mark.parametrize(("kind", "field", "code", "values"), list(wrong_values()))
def test_a_wrong_value_is_named(kind: type[BaseModel], field: str, code: str, values: list[Any]) -> None:
    for value in values:
        error = refusal(lambda changed=VALID[kind] | {field: value}: requests.checked(kind, changed))
        assert (status_of(error), (error.param or "").split(".")[0]) == (400, field), value
        assert error.message.startswith(f"{error.param}: ")
        assert code in ("-", error.code), (value, error.code)


@pytest.mark.parametrize("kind", [k for k in VALID if issubclass(k, requests.StrictRequest)], ids=lambda k: k.__name__)
def test_null_is_an_absent_optional_field(kind: type[BaseModel]) -> None:
    optional = {field.alias or name: None for name, field in kind.model_fields.items() if not field.is_required()}
    assert kind.model_validate(optional | VALID[kind]) == kind.model_validate(VALID[kind])


class Name(str):
    """The name of a parameter, which counts how often two of them are compared."""

    compared = 0

    def __str__(self) -> str:
        return self

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return super().__eq__(other)

    __hash__ = str.__hash__


def test_the_names_of_a_query_are_not_all_compared_with_each_other() -> None:
    """It is read before anyone has shown a key, and may take 64 kB."""
    query = QueryParams([(Name(f"{number:x}"), "") for number in range(2000)])
    assert {*map(type, query)} == {Name}
    assert refusal(lambda: parse_query(NoQuery, query)).code == "unknown_parameter"
    assert Name.compared < 2000
    twice = refusal(lambda: parse_query(NoQuery, QueryParams(f"{'a' * 9999}&{'a' * 9999}")))
    assert len(twice.param or "") < len(twice.message) < 300


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


REFUSED = requests.GenerationRequest, requests.ImageRequest, requests.CompletionRequest, requests.InterpolationRequest


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.__name__)
def test_what_a_model_cannot_do_is_refused_by_name(kind: type[requests.StrictRequest], catalog: Catalog) -> None:
    """refusals.txt has what; a code only where no other test has it."""
    for sent, told in rows(kind.__name__):
        changes, (param, code) = json.loads(sent), told.split()
        body = {name: value for name, value in (VALID[kind] | changes).items() if value is not None}
        error = refusal(lambda body=body: job_of(catalog, Settings(), requests.checked(kind, body)))
        assert (status_of(error), error.param) == (404 if error.code == "model_not_found" else 400, param), changes
        assert code in ("-", error.code), (changes, error.code)
        assert error.message.startswith(f"{param}: "), changes
        assert "passwd" not in error.message

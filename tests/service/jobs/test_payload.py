"""Plans as payloads: each process imports only its half, one JSON round trip, no guessing about what
another version has written."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from itertools import chain, repeat
from typing import Any

import httpx
import pytest
from redis import Redis

from ancestral import requests
from ancestral.catalog.descriptions import Plan
from ancestral.detection.query import Examination
from ancestral.errors import InvalidRequest
from ancestral.images import drawing as images
from ancestral.speech.utterance import Generation, RecordingScore, Turn, Utterance
from ancestral_models.entries import PLAIN, Sampling
from ancestral_models.text import phonemize
from ancestral_service.broker.job import Job, Priority, key
from ancestral_service.jobs.plans import KINDS, REQUESTS, PayloadError, dump, load, plan_of
from ancestral_service.jobs.sampling_attempt import LONGEST_SECONDS, PublishPacing
from tests.service.api.job_requests import check_envelope
from tests.service.images.pictures import files, post
from tests.service.servers import Serve, Server
from tests.service.toys import ASYNC

SENTENCES = tuple(phonemize("Is it late? No, the birch canoe slid!"))
SPEECH = Utterance(
    seed=2**63 - 1, temperature=0.1 + 0.2, voice="ann", response_format="mp3", sample_rate=None,
    sampling=Sampling(voiced_temperature=0.8, min_p=0.03, low_shelf_db=-4.0, mel_correction=0.5),
    input='Is it "late"? Nö!', plain_input="Is it", input_format="text", language="en-US",
    pronunciations=(("Nö", "N OW1"),),
    speed=1.0, pitch=-3.5, intonation=1.25, sentences=SENTENCES, voices=(("ANNA", "ann(1)+bob(2)"),),
    turns=(Turn(0, "ann", "ann", PLAIN), Turn(1, "ANNA", "ann(1)+bob(2)", Sampling(min_p=0.03))),
)  # fmt: skip
GENERATION = Generation(
    seed=0, temperature=1.0, prompt_sha256="ab" * 32, voice="bob", response_format="wav", sample_rate=8000,
    sampling=PLAIN,
    deemphasis_state=math.pi * 1e-7, duration=0.1, samples=1600,
)  # fmt: skip
PICTURE = {
    "temperature": 0.9, "guidance": 1.0, "style": None, "size": "16x12", "scale": 2, "fit": "pad",
    "response_format": "url", "output_format": "png", "background": "opaque", "token": "t-_", "seeds": (7, 8),
}  # fmt: skip
PROMPT = {"palette_error": 1.5, "prompt_sha256": "cd" * 32}
IMAGE = images.ClassDrawing(
    **PICTURE, prompt="cat", labels=((0, None, 1), (0, None, None)), requested=((0, None, None),),
    revised_prompts=("owl", None),
)  # fmt: skip
COMPLETION = images.Completion(**vars(IMAGE) | PROMPT | {"rows": 2, "prompt_symbols": 48})
ENDS = ((0, 1), ((0.1, -1e-30, 3.0), 1))
INTERPOLATION = images.Interpolation(
    **PICTURE | {"style": "oil"}, begin="cat", end=(0.1, -1e-30, 3.0), steps=3, ends=ENDS, requested=ENDS
)
PAYLOADS: list[Plan] = [
    SPEECH, GENERATION, IMAGE, COMPLETION, INTERPOLATION,
    RecordingScore(voice="ann", sentences=SENTENCES),
    RecordingScore(voice="ann", sentences=()),
    images.Edit(**vars(IMAGE) | PROMPT | {"mask": "iVBORw0=", "prompt_symbols": 40}),
    images.Reconstruction(**PICTURE, prompt_sha256="ef" * 32, source_symbols=48),
    images.Portrait(**PICTURE, prompt_sha256="ef" * 32, source_symbols=48),
    images.PictureEncoding(palette_error=2.5),
    images.PictureScore(labels=(0, None), map=True, white_bits=8, palette_error=None),
    images.PictureScore(labels=(), map=False, white_bits=1, palette_error=0.5),
    Examination(
        models=("a", "b"), sound=False, signature='{"status": "none"}', seed=2**63 - 1, recipe='{"seed": 7}',
        voice="ann", text="Nö!", newest=2**53, search=7,
    ),
]  # fmt: skip
OPTIONAL = {
    field.name
    for payload in (SPEECH, GENERATION, IMAGE)
    for field in dataclasses.fields(payload)
    if field.default is not dataclasses.MISSING
}


def test_every_kind_is_tried() -> None:
    assert {type(plan) for plan in PAYLOADS} == set(KINDS.values())


@pytest.mark.parametrize("plan", PAYLOADS, ids=lambda plan: type(plan).__name__)
def test_the_round_trip_is_exact_and_other_versions_are_refused(plan: Plan) -> None:
    kind, text = type(plan), dump(plan)
    again = load(kind, text)
    assert again == plan
    assert hash(again) == hash(plan), "a list where a tuple belongs"
    assert dump(again) == text

    fields = json.loads(text)
    assert fields["version"] == plan.VERSION
    with pytest.raises(PayloadError, match=f"version {plan.VERSION + 1}") as caught:
        load(kind, json.dumps(fields | {"version": plan.VERSION + 1}))
    assert caught.value.code == "payload_version"
    for name in fields.keys() - OPTIONAL:
        with pytest.raises(PayloadError):
            load(kind, json.dumps({other: value for other, value in fields.items() if other != name}))


def test_what_is_no_payload_is_refused() -> None:
    unknown = dump(SPEECH).replace("IH0", "QQ0")  # a phoneme
    for text in ("", "null", "[]", "{}", "{", '{"version": 1}', '{"version": 1, "seed": "x"}', unknown):
        with pytest.raises(PayloadError):
            load(Utterance, text)
    with pytest.raises(PayloadError):  # a later version may have kinds of jobs that this one does not know
        plan_of(Job("dance", Priority.BACKGROUND, "tiny", "aa", "me", "{}", 0.0), Plan)


# Kinds


def imported(modules: str, *unwanted: str) -> str:
    """Those of the unwanted modules that a process has imported together with these."""
    code = f"import sys, {modules}; print(*sorted(set(sys.modules) & {set(unwanted)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


def test_a_manifest_has_every_field_of_its_request() -> None:
    for kind, schema in REQUESTS.items():
        assert schema.transport <= schema.model_fields.keys()
        repeated = schema.model_fields.keys() - schema.transport - {schema.upload, "model", "seed", "n"}
        assert repeated <= kind.__dataclass_fields__.keys()


def test_a_worker_imports_no_web_framework_and_no_codecs() -> None:
    modules = ("fastapi", "starlette", "uvicorn", "av", "soundfile", "PIL", "torch")
    assert imported("ancestral_service.cli.worker, ancestral_service.worker, ancestral.loader", *modules) == ""


def test_an_api_process_imports_no_compiled_kernels() -> None:
    others = "ancestral_models.engines.speech.native", "torch", "av", "fastapi"
    assert imported("ancestral_service.api.app", *others) == "fastapi"


@pytest.fixture(scope="module")
def own_redis(serve: Serve) -> Any:
    """A server, and its Redis."""
    with serve() as server, server.redis() as redis:
        yield server, redis


def test_a_payload_of_another_version_is_refused_by_api_and_worker(own_redis: tuple[Server, Redis]) -> None:
    server, redis = own_redis
    done = server.generate(headers=ASYNC, duration=0.1).json()["id"]
    assert server.ended(done)["status"] == "completed"
    _rewrite(redis, done)
    refused = httpx.get(f"{server.url}/v1/jobs/{done}/content")
    assert check_envelope(refused, 409, None)["code"] == "payload_version"
    # The queue holds one job back while another is sampled, so that its payload can be changed before it starts.
    long = [server.generate(headers=ASYNC, duration=3600.0).json()["id"] for _ in range(20)]
    assert httpx.get(f"{server.url}/v1/jobs/{long[-1]}").json()["status"] == "queued"
    _rewrite(redis, long[-1])
    for job in long[:-1]:
        httpx.post(f"{server.url}/v1/jobs/{job}/cancel")
    failed = server.ended(long[-1])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "payload_version")


def _rewrite(redis: Redis, job: str) -> None:
    """Give a job the payload of a version to come."""
    fields = json.loads(redis.hget(key("job", job), "payload"))  # type: ignore[arg-type]
    redis.hset(key("job", job), "payload", json.dumps(fields | {"version": 99}))


@pytest.mark.parametrize("count", [1, 10])
def test_pictures_under_urls_are_decoded_once(own_redis: tuple[Server, Redis], count: int) -> None:
    server, redis = own_redis
    answer = post(server, "generations", n=count, response_format="url")
    job, expected = answer.headers["x-job-id"], files(post(server, "generations", n=count))
    urls = [entry["url"] for entry in answer.json()["data"]]
    assert httpx.get(urls[-1]).content == expected[-1]
    assert redis.delete(key("stream", job)) == 1  # without the symbols nothing can be decoded again
    assert [httpx.get(url).content for url in urls] == expected


# JSON from clients: what is refused, and how it is said.


@pytest.mark.parametrize(
    ("text", "param", "code", "words"),
    [
        ('{"a": 1, "a": 1}', "a", "duplicate_parameter", "a: given twice"),
        ('{"b": [{"a": 1, "c": 2, "a": 3}]}', "a", "duplicate_parameter", "a: given twice"),
        ('{\n "a" 1}', None, "json_invalid", "The body is not JSON: Expecting ':' delimiter at line 2, column 6."),
        (r'{"a": {"\ud800": 1}}', r"\ud800", "unknown_parameter", "valid Unicode"),
        (r'{"\ud800": 1, "\ud800": 1}', r"\ud800", "unknown_parameter", "valid Unicode"),
        ("[" * 100_000, None, "json_invalid", "nested too deeply"),
    ],
)
def test_what_is_refused(text: str, param: str | None, code: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        requests.parse_json(text, "The body")
    assert (refused.value.param, refused.value.code) == (param, code)
    assert words in refused.value.message


# How much sound is published at a time.


RATE = 1000


def pieces(speed: float, ahead: float, seconds: float) -> tuple[list[int], float]:
    """The pieces in which ``seconds`` of sound are published that are sampled ``speed`` times as fast as they play, and
    how long their listener heard nothing although something was held back."""
    pacing, now, silence, runs_out, held = PublishPacing(RATE, ahead), 0.0, 0.0, 0.0, list[float]()
    sizes, found = chain((20, 40), repeat(50)), list[int]()
    arrives = 0.0
    while sum(found) < seconds * RATE:
        due = now + max(0.0, pacing.due_in(len(held), now)) if held else math.inf
        if due < arrives:
            now = due
            silence += max(0.0, now - max(runs_out, held[0])) if found else 0.0
            pacing.published(len(held), now)
            runs_out = max(runs_out, now) + len(held) / RATE
            found.append(len(held))
            held = []
        else:
            now = arrives
            size = next(sizes)
            held += [now] * size
            arrives = now + size / RATE / speed
    return found, silence


@pytest.mark.parametrize("speed", [1.1, 2.0, 5.0, 50.0])
def test_pieces_grow_as_the_listener_gets_ahead_and_hold_nobody_up(speed: float) -> None:
    found, silence = pieces(speed, ahead=2.0, seconds=20.0)
    assert found[0] == 20
    assert found == sorted(found)
    assert silence == pytest.approx(0.0)
    assert max(found) <= LONGEST_SECONDS * RATE + 50
    if speed >= 2.0:
        assert found[-1] == LONGEST_SECONDS * RATE
        assert len(found) < 60


def test_a_listener_who_has_nothing_left_gets_what_there_is() -> None:
    pacing = PublishPacing(RATE, 2.0)
    assert pacing.due_in(1, 0.0) <= 0
    pacing.published(1000, 0.0)
    assert pacing.due_in(1, 0.0) == pytest.approx(0.9)
    assert pacing.due_in(1, 0.95) <= 0
    assert pacing.due_in(1, 5.0) <= 0
    pacing.published(1000, 5.0)  # the time in which there was nothing to play is lost
    assert pacing.due_in(1, 5.0) == pytest.approx(0.9)

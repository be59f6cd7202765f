"""Payloads: one JSON round trip, and no guessing about what another version has written."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from ancestral.models.entries import PLAIN, Sampling
from ancestral.models.text import phonemize
from ancestral.service.detection.payloads import DetectionPayload
from ancestral.service.detection.tasks import TASKS as DETECTION_TASKS
from ancestral.service.images.payloads import (
    CompletionPayload,
    EditPayload,
    EncodingPayload,
    ImageLikelihoodPayload,
    ImagePayload,
    InterpolationPayload,
    ReconstructionPayload,
)
from ancestral.service.images.tasks import TASKS as IMAGE_TASKS
from ancestral.service.jobs.payload import Payload, PayloadError
from ancestral.service.speech.payloads import GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from ancestral.service.speech.tasks import TASKS as SPEECH_TASKS
from ancestral.speech.cast import Turn

SENTENCES = tuple(phonemize("Is it late? No, the birch canoe slid!"))
SPEECH = SpeechPayload(
    seed=2**63 - 1, temperature=0.1 + 0.2, voice="ann", response_format="mp3", sample_rate=None,
    sampling=Sampling(voiced_temperature=0.8, min_p=0.03, low_shelf_db=-4.0, mel_correction=0.5),
    input='Is it "late"? Nö!', plain_input="Is it", input_format="text", language="en-US",
    pronunciations=(("Nö", "N OW1"),),
    speed=1.0, pitch=-3.5, intonation=1.25, sentences=SENTENCES, voices=(("ANNA", "ann(1)+bob(2)"),),
    turns=(Turn(0, "ann", "ann", PLAIN), Turn(1, "ANNA", "ann(1)+bob(2)", Sampling(min_p=0.03))),
)  # fmt: skip
GENERATION = GenerationPayload(
    seed=0, temperature=1.0, prompt_sha256="ab" * 32, voice="bob", response_format="wav", sample_rate=8000,
    sampling=PLAIN,
    deemphasis_state=math.pi * 1e-7, duration=0.1, samples=1600,
)  # fmt: skip
IMAGE = ImagePayload(
    seed=7, temperature=0.9, guidance=1.0, style=None, size="16x12", scale=2, fit="pad", response_format="url",
    output_format="png", background="opaque", token="t-_", seeds=(7, 8), prompt="cat", n=2,
    labels=((0, None, 1), (0, None, None)), requested=((0, None, None),), revised_prompts=("owl", None),
)  # fmt: skip
COMPLETION = CompletionPayload(
    **vars(IMAGE) | {"rows": 2, "prompt_symbols": 48, "palette_error": 1.5, "prompt_sha256": "cd" * 32}
)
EDIT = EditPayload(
    **vars(IMAGE) | {"mask": "iVBORw0=", "prompt_symbols": 40, "palette_error": 1.5, "prompt_sha256": "cd" * 32}
)
INTERPOLATION = InterpolationPayload(
    seed=7, temperature=0.9, guidance=2.5, style="oil", size="8x6", scale=1, fit=None, response_format="b64_json",
    output_format="webp", background="transparent", token="x", seeds=(7, 7, 7), begin="cat", end=(0.1, -1e-30, 3.0),
    steps=3, ends=((0, 1), ((0.1, -1e-30, 3.0), 1)), requested=((0, 1), ((0.1, -1e-30, 3.0), 1)),
)  # fmt: skip
RECONSTRUCTION = ReconstructionPayload(
    seed=7, temperature=0.8, prompt_sha256="ef" * 32, guidance=1.0, style=None, size="8x6", scale=1, fit=None,
    response_format="url", output_format="png", background="opaque", token="t-_", seeds=(7, 8), n=2, source_symbols=48,
)  # fmt: skip
OPTIONAL = {
    field.name
    for payload in (SPEECH, GENERATION, IMAGE)
    for field in dataclasses.fields(payload)
    if field.default is not dataclasses.MISSING
}
PAYLOADS: list[Payload] = [
    SPEECH,
    GENERATION,
    SpeechLikelihoodPayload(voice="ann", sentences=SENTENCES),
    SpeechLikelihoodPayload(voice="ann", sentences=()),
    IMAGE,
    COMPLETION,
    EDIT,
    INTERPOLATION,
    RECONSTRUCTION,
    EncodingPayload(palette_error=2.5),
    ImageLikelihoodPayload(labels=(0, None), map=True, white_bits=8, palette_error=None),
    ImageLikelihoodPayload(labels=(), map=False, white_bits=1, palette_error=0.5),
    DetectionPayload(
        models=("a", "b"),
        sound=False,
        signature='{"status": "none"}',
        seed=2**63 - 1,
        recipe='{"seed": 7}',
        voice="ann",
        text="Nö!",
        newest=2**53,
        search=7,
    ),
]


def test_every_payload_is_tried() -> None:
    assert {type(payload) for payload in PAYLOADS} == {
        task.payload for task in (*SPEECH_TASKS, *IMAGE_TASKS, *DETECTION_TASKS)
    }


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_the_round_trip_is_exact(payload: Payload) -> None:
    again = type(payload).load(payload.dump())
    assert again == payload
    assert hash(again) == hash(payload), "a list where a tuple belongs"
    assert again.dump() == payload.dump()


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: type(payload).__name__)
def test_other_versions_are_refused(payload: Payload) -> None:
    fields = json.loads(payload.dump())
    assert fields["version"] == payload.VERSION
    newer = json.dumps(fields | {"version": payload.VERSION + 1})
    with pytest.raises(PayloadError, match=f"version {payload.VERSION + 1}") as caught:
        type(payload).load(newer)
    assert caught.value.code == "payload_version"
    for name in fields:
        if name in OPTIONAL:
            continue
        lacking = {other: value for other, value in fields.items() if other != name}
        with pytest.raises(PayloadError):
            type(payload).load(json.dumps(lacking))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "{", '{"version": 1}', '{"version": 1, "seed": "x"}'])
def test_what_is_no_payload_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        SpeechPayload.load(text)


def test_an_unknown_phoneme_is_refused() -> None:
    with pytest.raises(PayloadError):
        SpeechPayload.load(SPEECH.dump().replace("IH0", "QQ0"))


def test_words_travel_with_their_phonemes_and_spans() -> None:
    sentences = json.dumps(json.loads(SPEECH.dump())["sentences"], separators=(",", ":"))
    assert sentences.startswith('[[["is",0,2,"IH0 Z"],["it",3,5,"IH0 T"],["late",6,10,"L EY1 T"],"?"],')
    assert len(sentences) < 10 * SPEECH.input_tokens


def test_what_a_request_is_charged_for() -> None:
    assert SPEECH.input_tokens == sum(len(sentence.phones) for sentence in SENTENCES)
    assert GENERATION.input_tokens == 0
    assert IMAGE.text_tokens == 1, "a subclass that the seed has drawn was not in the request"
    named = dataclasses.replace(IMAGE, labels=((0, None, 1),) * 2, requested=((0, None, 1),))
    assert named.text_tokens == 2
    assert INTERPOLATION.text_tokens == 4
    assert (IMAGE.prompt_symbols, COMPLETION.prompt_symbols) == (0, 48)

"""What the server samples and scores is what the networks say: sound without text, likelihoods, excitations."""

from __future__ import annotations

import hashlib
import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from ancestral.requests import Speak
from ancestral.speech.utterance import with_closing_pause
from ancestral_models import checkpoint
from ancestral_models.acoustic import AcousticModel, align
from ancestral_models.audio.features import normalize_level
from ancestral_models.audio.mu_law import decode_wave, encode_wave, from_int16, to_int16
from ancestral_models.audio.shaping import encode_excitation, predictor
from ancestral_models.engines import load_engine
from ancestral_models.engines.speech.engine import SpeechEngine, StreamRequest, SynthesisEngine
from ancestral_models.entries import PLAIN, Sampling
from ancestral_models.spec import FeatureSpec
from ancestral_models.text import phonemize
from tests.service.api.job_requests import accepted, check_envelope, made, verify
from tests.service.servers import Server
from tests.service.speech.sounds import in_base64, recording, samples_of, score
from tests.service.toys import ASYNC, BOBS_SAMPLING, SPEECH, VOICES, sampled_by

RATE = 16000
TEXT = str(SPEECH["input"])
FREE = {"model": "free", "voice": "ann"}
SPOKEN = {"model": "tiny", "voice": "ann", "text": TEXT}
SHAPED = {"model": "shaped", "voice": "ann", "text": TEXT}

# Sound without text


@pytest.mark.every_engine(quick=True)
def test_sound_lasts_as_long_as_was_asked_for(server: Server, engine: str) -> None:
    response = server.generate(duration=1.25)
    assert (response.status_code, response.headers["content-type"]) == (200, "audio/wav")
    assert (response.headers["x-seed"], response.headers["x-engine"]) == ("7", sampled_by("free", engine))
    samples = samples_of(response.content)
    assert len(samples) == 1.25 * RATE
    assert np.std(samples) > 100
    assert len(samples_of(server.generate(duration=1e-9).content)) == 1


@pytest.mark.every_engine(quick=True)
def test_a_recording_is_continued_sample_by_sample(server: Server, zoo: Path, engine: str) -> None:
    """What the server makes is what the network says of the whole: recording, then continuation."""
    prompt = recording(0.5)
    loaded = checkpoint.load(zoo / "free" / "wavenet")
    spec = loaded.spec
    symbols = encode_wave(samples_of(prompt) / np.float32(32768), spec.preemphasis, spec.gain)
    model = load_engine(engine, loaded)
    given = symbols[-spec.receptive_field :]
    stream = model.open(StreamRequest(len(given) + RATE, seed=7, temperature=1.0, speaker=VOICES.index("ann")))
    model.teacher_force(stream, given)
    (made,) = model.step([stream], RATE)
    whole = to_int16(decode_wave(np.concatenate([symbols, made]), spec.preemphasis, spec.gain))
    answer = server.generate(prompt_audio=in_base64(prompt)).content
    assert np.array_equal(samples_of(answer), whole[len(symbols) :])
    assert answer != server.generate().content


def test_the_prompt_decides_and_its_format_does_not(server: Server) -> None:
    prompts = (recording(), recording(form="FLAC"), recording(seed=1))
    first, flac, other = (server.generate(prompt_audio=in_base64(prompt)).content for prompt in prompts)
    assert first == flac != other
    job = server.generate(headers=ASYNC, prompt_audio=in_base64(recording())).json()["id"]
    assert server.ended(job)["samples_done"] == RATE  # the prompt is not counted
    stored = httpx.get(f"{server.url}/v1/jobs/{job}/content").content
    assert np.array_equal(samples_of(stored), samples_of(first))
    large = in_base64(recording(59.0))  # larger than other bodies may be
    assert len(large) > 2 << 20
    assert server.generate(prompt_audio=large, duration=0.1).status_code == 200


# Likelihoods


def check_figures(response: httpx.Response, nats: NDArray[np.float32]) -> dict[str, Any]:
    """The figures are the network's, which says so many nats of each symbol."""
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert found["samples"] == len(nats)
    assert found["nats"] == pytest.approx(-nats.sum(), abs=1e-2)
    assert found["bits_per_sample"] == pytest.approx(-nats.mean() / math.log(2), abs=1e-6)
    assert len(found["curve"]) == -(-len(nats) // 160)  # the last point may be short
    assert sum(found["curve"]) == pytest.approx(found["nats"] / math.log(2), abs=0.1)
    return found


@pytest.mark.every_engine
def test_the_figures_are_the_networks(server: Server, zoo: Path, engine: str) -> None:
    loaded, file = checkpoint.load(zoo / "free" / "wavenet"), recording()
    wave, _ = soundfile.read(io.BytesIO(file), dtype="float32")
    symbols = encode_wave(normalize_level(wave, RATE), loaded.spec.preemphasis, loaded.spec.gain)
    response = score(server, FREE, file)
    found = check_figures(response, load_engine(engine, loaded).score(symbols, speaker=VOICES.index("ann")))
    assert response.headers["x-engine"] == sampled_by("free", engine)
    assert response.headers["x-model-sha256"] == loaded.sha256
    assert set(found) == {"bits_per_sample", "nats", "samples", "curve"}
    assert score(server, FREE | {"voice": "bob"}, file).json()["nats"] != found["nats"]


def test_a_model_that_speaks_is_told_what_is_said(server: Server) -> None:
    sound = server.speak().content
    right = score(server, SPOKEN, sound).json()
    assert right["samples"] == len(samples_of(sound))
    assert [word["word"] for word in right["words"]] == ["the", "birch", "canoe", "slid"]
    two = score(server, SPOKEN | {"text": "It was $5. It was."}, sound).json()
    assert [word["word"] for word in two["words"]] == ["it", "was", "five", "dollars", "it", "was"]
    assert sum(word["bits"] for word in two["words"]) < sum(two["curve"])
    assert score(server, SPOKEN, sound).json() == right


def test_a_recording_that_is_not_of_the_text(server: Server) -> None:
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(8000), RATE, format="WAV")
    refused = score(server, SHAPED | {"text": "Hello."}, silence.getvalue())
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "text_does_not_fit")


def test_a_likelihood_as_a_job_and_by_its_key(server: Server) -> None:
    response = score(server, FREE, headers=ASYNC)
    where = server.url + response.headers["location"]
    assert server.ended(accepted(response))["status"] == "completed"
    content = httpx.get(f"{where}/content")
    assert content.headers["content-type"] == "application/json"
    assert httpx.get(f"{where}/content", headers={"range": "bytes=0-0"}).content == b"{"
    assert check_envelope(httpx.get(f"{where}/manifest"), 409, None)["code"] == "no_manifest"
    headers = {"idempotency-key": "likelihood-1"}
    first, second = (score(server, FREE, headers=headers) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert content.json() == first.json() == second.json()
    check_envelope(score(server, FREE, recording(0.5), headers), 422, "Idempotency-Key")


def test_a_likelihood_that_is_cancelled(server: Server) -> None:
    files, before = {"file": ("a.wav", recording(60.0))}, server.newest()
    with pytest.raises(httpx.ReadTimeout):  # a client that disconnects
        httpx.post(f"{server.url}/v1/audio/likelihood", data=FREE, files=files, timeout=httpx.Timeout(60, read=0.3))
    left = server.newest(other_than=before)
    assert left is not None
    assert server.ended(left)["status"] == "cancelled"
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(score, server, FREE, recording(60.0))
        job = server.newest(other_than=left)
        assert httpx.post(f"{server.url}/v1/jobs/{job}/cancel").status_code == 200
        assert check_envelope(answer.result(), 409, None)["code"] == "job_cancelled"


# A model whose symbols are an excitation, which the worker filters


@pytest.fixture
def networks(zoo: Path, engine: str) -> tuple[SpeechEngine, AcousticModel]:
    network = cast(SpeechEngine, load_engine(engine, checkpoint.load(zoo / "shaped" / "wavenet")))
    return network, AcousticModel(checkpoint.load(zoo / "shaped" / "acoustic"), int8=network.int8)


@pytest.mark.every_engine
def test_a_voice_is_sampled_as_its_description_says(
    server: Server, zoo: Path, engine: str, networks: tuple[SpeechEngine, AcousticModel]
) -> None:
    """By the network of its own; the request's temperature scales it."""
    _, acoustic = networks
    made = SynthesisEngine(cast(SpeechEngine, load_engine(engine, checkpoint.load(zoo / "shaped" / "wavenet-bob"))))
    (sentence,) = phonemize(TEXT)
    frames = acoustic.predict(with_closing_pause(sentence, Speak()), "bob")
    found = samples_of(server.speak(model="shaped", voice="bob", temperature=0.9, sample_rate=RATE).content)
    request = StreamRequest(len(frames) * 160, 7, 0.9, VOICES.index("bob"), frames, Sampling(**BOBS_SAMPLING))
    (expected,) = made.step([made.open(request)], request.length)
    assert np.array_equal(found, expected)
    assert np.std(found) > 100
    (plain,) = made.step([made.open(replace(request, sampling=PLAIN))], request.length)
    assert not np.array_equal(plain, expected)


@pytest.mark.every_engine
def test_a_manifest_of_an_excitation_is_verified(server: Server, engine: str) -> None:
    manifest = made(server, model="shaped", response_format="wav", sample_rate=RATE)
    content = httpx.get(f"{server.url}/v1/jobs/{manifest['job']}/content").content
    assert manifest["output"]["samples"] == len(samples_of(content))
    assert manifest["output"]["symbols_sha256"] == hashlib.sha256(content[44:]).hexdigest()
    found = verify(server, manifest).json()
    assert (found["equal"], found["symbols_equal"], found["engine"]) == (True, True, sampled_by("shaped", engine))


@pytest.mark.every_engine
def test_a_recording_is_scored_as_the_excitation_of_its_frames(
    server: Server, networks: tuple[SpeechEngine, AcousticModel]
) -> None:
    network, acoustic = networks
    file = server.speak(model="shaped", sample_rate=RATE).content
    # As the service reads a file: another scale, and the level is rounded otherwise.
    wave = from_int16(to_int16(normalize_level(soundfile.read(io.BytesIO(file), dtype="float32")[0], RATE)))
    frames = align(wave, phonemize(TEXT), acoustic, "ann", FeatureSpec()).frames
    nats = network.score(encode_excitation(wave, predictor(frames, FeatureSpec())), frames, VOICES.index("ann"))
    words = check_figures(score(server, SHAPED, file), nats)["words"]
    assert [word["word"] for word in words] == ["the", "birch", "canoe", "slid"]
    edges = [edge for word in words for edge in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert 0 < edges[0] < edges[-1] <= len(nats)
    for word in words:
        bits = -nats[word["start"] : word["end"]].sum() / math.log(2)
        assert word["bits"] == pytest.approx(bits, abs=1e-2)

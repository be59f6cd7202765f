"""Seeds that are texts, wherever a seed can be given: the answer has the number that the text stands for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ancestral.catalog.seeds import seed_of_text
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import files, noise, post, same, seeds, shown, written
from tests.service.images.websocket_client import watching
from tests.service.servers import Server
from tests.service.toys import SPEECH
from tests.service.ws_client import talking

Run = Callable[..., subprocess.CompletedProcess[bytes]]
ALICE = seed_of_text("alice")


def test_pictures(server: Server) -> None:
    named, numbered = (post(server, "generations", seed=seed, n=2) for seed in ("alice", ALICE))
    assert seeds(named) == seeds(numbered)
    assert seeds(named)[0] == ALICE == int(named.headers["x-seed"])
    assert files(named) == files(numbered), "the recipe has the number, too"
    with watching(server) as watch:
        watch.generate(seed="alice")
        assert same(watch.pictures(), shown(post(server, "generations", seed="alice")))
    avatar = httpx.get(f"{server.url}/v1/avatars/alice.png?model=palette", timeout=60).content
    assert [avatar] == files(post(server, "generations", model="palette", prompt="any", seed="alice"))


def test_speech(server: Server) -> None:
    named, numbered = (server.speak(seed=seed) for seed in ("alice", str(ALICE)))
    assert named.headers["x-seed"] == str(ALICE)
    assert named.content == numbered.content
    manifest = httpx.get(f"{server.url}/v1/jobs/{named.headers['x-job-id']}/manifest").json()
    assert manifest["request"]["seed"] == ALICE
    with talking(server) as talk:
        talk.configure(seed="alice")
        talk.say("input.text", text=SPEECH["input"])
        talk.say("input.done")
        assert talk.until("audio.start")["seed"] == ALICE


def test_forms(server: Server) -> None:
    form = {"model": "autoencoder", "seed": "alice", "response_format": "b64_json"}
    url = f"{server.url}/v1/images/reconstructions"
    answer = httpx.post(url, data=form, files={"image": written(noise("autoencoder"))}, timeout=60)
    assert seeds(answer) == [ALICE]
    (picture,) = files(post(server, "generations", model="palette", prompt="elf", seed="alice"))
    told = {"model": "palette", "seed": "alice"}
    found = httpx.post(f"{server.url}/v1/detect", data=told, files={"file": picture}, timeout=60).json()
    assert found["seed"]["seeds_tried"] > 0


def test_the_commands(ancestral: Run, server: Server, tmp_path: Path) -> None:
    done = ancestral("draw", "dog", "--model", "rgb", "--seed", "alice", "-o", str(tmp_path / "a.png"))
    assert f"seed {ALICE}".encode() in done.stderr
    assert [(tmp_path / "a.png").read_bytes()] == files(post(server, "generations", seed="alice"))
    sound = str(tmp_path / "a.wav")
    done = ancestral("say", "Hi.", "--model", "tiny", "--voice", "ann", "--seed", "alice", "-o", sound)
    assert f"seed {ALICE}".encode() in done.stderr
    for seed, message in (("1.5", b"must be a whole number"), ("-1", b"0<=x<="), ("", b"1 to 256 characters")):
        done = ancestral("draw", "dog", "--model", "rgb", "--seed", seed, "-o", str(tmp_path / "b.png"))
        assert done.returncode == 2
        assert message in done.stderr


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("", "seed: must have 1 to 256 characters"),
        ("a" * 257, "seed: must have 1 to 256 characters"),
        ("1.5", "seed: must be a whole number, or a text that is not a number"),
        ("-1", "seed: must be at least 0"),
        ("9" * 25, "seed: must be less than 9223372036854775808"),
        (True, "seed: must be a whole number"),
        (["alice"], "seed: must be a whole number"),
    ],
)
def test_seeds_that_are_refused(server: Server, seed: object, message: str) -> None:
    for response in (post(server, "generations", seed=seed), server.speak(seed=seed)):
        error = check_envelope(response, 400, "seed")
        assert error["message"].startswith(message)


def test_the_reference_says_so(server: Server) -> None:
    schemas = httpx.get(f"{server.url}/openapi.json").json()["components"]["schemas"]
    given, told = (schemas[name]["properties"]["seed"]["anyOf"] for name in ("ImageRequest", "ImageObject"))
    number = {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}
    assert given[0]["anyOf"] == [number, {"type": "string", "minLength": 1, "maxLength": 256}]
    assert told == [number, {"type": "string", "pattern": "^[0-9]{1,19}$"}]

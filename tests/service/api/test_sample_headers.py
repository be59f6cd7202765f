"""`Content-Disposition`: files are named by model, voice or class, and seed."""

from __future__ import annotations

import re
from urllib.parse import unquote

import httpx
import pytest

from ancestral.models.entries import PLAIN
from ancestral.service.api.sample_headers import disposition
from ancestral.service.broker.job import Job, Priority
from ancestral.service.images.payloads import ImageLikelihoodPayload, ImagePayload, InterpolationPayload
from ancestral.service.speech.payloads import GenerationPayload
from tests.service.servers import Server
from tests.service.toys import ASYNC, SPEECH

JOB = Job("kind", Priority.BATCH, "a.model-en", "aa", "me", "{}", 0.0)
DRAWN = {
    "guidance": 1.0, "style": None, "size": "8x6", "scale": 1, "fit": None, "response_format": "url",
    "output_format": "png", "background": "opaque", "token": "t", "temperature": 1.0, "seed": 7,
}  # fmt: skip


def sound(voice: str) -> GenerationPayload:
    return GenerationPayload(
        voice=voice, response_format="opus", sample_rate=None, sampling=PLAIN, seed=7, temperature=1.0, duration=1.0,
        samples=16000,
    )  # fmt: skip


def picture(prompt: str | None, count: int = 1) -> ImagePayload:
    seeds = tuple(range(7, 7 + count))
    return ImagePayload(
        prompt=prompt, n=count, labels=((None,),) * count, requested=((None,),), seeds=seeds,
        **DRAWN,
    )  # fmt: skip


def test_sound_is_named_by_its_voice() -> None:
    assert disposition(JOB, sound("ann")) == {"content-disposition": 'inline; filename="a.model-en-ann-7.opus"'}


def test_pictures_are_named_by_what_they_show() -> None:
    named = {
        'inline; filename="a.model-en-cat-7.png"': disposition(JOB, picture("cat")),
        'inline; filename="a.model-en-7.png"': disposition(JOB, picture(None)),
        'inline; filename="a.model-en-cat-7.zip"': disposition(JOB, picture("cat", 3)),
        'inline; filename="a.model-en-cat-9.png"': disposition(JOB, picture("cat", 3), 2),
    }
    assert named == {header: {"content-disposition": header} for header in named}
    between = InterpolationPayload(
        prompt="cat-to-embedding", begin="cat", end=(0.5,), steps=2, ends=((0,), (None,)), seeds=(7, 7), **DRAWN
    )
    assert 'filename="a.model-en-cat-to-embedding-7.zip"' in disposition(JOB, between)["content-disposition"]


def test_figures_are_no_file() -> None:
    assert disposition(JOB, ImageLikelihoodPayload(labels=(), map=False, white_bits=8, palette_error=None)) == {}


@pytest.mark.parametrize(
    ("voice", "part"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ('a"; filename="b', "a_filename_b"),
        ("a\r\nset-cookie: x\0", "a_set-cookie_x"),
        ("C:\\con", "C_con"),
        ("heart(2)+joe(1)", "heart_2_+joe_1"),
        ("-.rc", "rc"),
        ("x" * 4096, "x" * 60),
    ],
)
def test_names_are_safe(voice: str, part: str) -> None:
    header = disposition(JOB, sound(voice))["content-disposition"]
    assert header == f'inline; filename="a.model-en-{part}-7.opus"'


@pytest.mark.parametrize("voice", ["Zoë", "猫", "a\ud800b"])
def test_other_letters_are_kept(voice: str) -> None:
    header = disposition(JOB, sound(voice))["content-disposition"]
    assert header.isascii()
    if "\ud800" in voice:
        assert header == 'inline; filename="a.model-en-a_b-7.opus"'
        return
    plain, extended = re.fullmatch(r"inline; filename=\"([^\"]+)\"; filename\*=UTF-8''(\S+)", header).groups()  # type: ignore[union-attr]
    assert plain == "a.model-en-" + re.sub("[^!-~]", "_", voice) + "-7.opus"
    assert unquote(extended) == f"a.model-en-{voice}-7.opus"


def test_sound_that_is_streamed_and_its_job_have_one_name(server: Server) -> None:
    streamed = server.speak()
    expected = f'inline; filename="tiny-ann-{streamed.headers["x-seed"]}.{SPEECH["response_format"]}"'
    assert streamed.headers["content-disposition"] == expected
    content = httpx.get(f"{server.url}/v1/jobs/{streamed.headers['x-job-id']}/content")
    assert content.headers["content-disposition"] == expected
    events = server.speak(stream_format="sse")
    assert "content-disposition" not in events.headers


def test_pictures_by_url_and_their_archive(server: Server) -> None:
    body = {"model": "rgb", "prompt": "CAT", "style": "oil", "n": 2, "seed": 7, "response_format": "url"}
    with server.client() as client:
        drawn = client.post("/v1/images/generations", json=body)
        for entry in drawn.json()["data"]:
            header = client.get(entry["url"]).headers["content-disposition"]
            assert header == f'inline; filename="rgb-CAT-{entry["seed"]}.png"'
        job = client.post("/v1/images/generations", json=body, headers=ASYNC).json()["id"]
        server.ended(job)
        content = client.get(f"/v1/jobs/{job}/content")
    assert content.headers["content-type"] == "application/zip"
    assert content.headers["content-disposition"] == 'inline; filename="rgb-CAT-7.zip"'

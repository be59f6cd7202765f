"""Candidates, of which the best is returned, and what pictures show, by a model with a classifier."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ancestral.catalog.seeds import part_seed
from ancestral.errors import InvalidRequest
from ancestral.images.decoding import decode_picture
from ancestral.model import load
from ancestral.models.architectures.classifier import ClassifierSpec
from ancestral.models.checkpoint import load as load_checkpoint
from ancestral.models.classification import PictureClassifier
from tests.service.api.envelope import check_envelope
from tests.service.images.job_requests import content, manifest_of, submit, verify
from tests.service.images.pictures import Pixels, base64_of, events, files, noise, post, same, seeds, written
from tests.service.images.websocket_client import watching
from tests.service.servers import Server
from tests.service.toys import PICTURES

Run = Callable[..., subprocess.CompletedProcess[bytes]]

NAMED = "orc, robe, axe"
BEST: dict[str, Any] = {"model": "palette", "prompt": NAMED, "n": 2, "best_of": 4}
SPEC = PICTURES["palette"]


@pytest.fixture(scope="module")
def classifier(zoo: Path) -> PictureClassifier:
    saved = load_checkpoint(zoo / "palette" / "classifier")
    return PictureClassifier(saved.spec_as(ClassifierSpec), saved.tensors)


def symbols_of(found: list[bytes]) -> Pixels:
    return np.stack([decode_picture(file, SPEC, "file")[0] for file in found])


def expected(server: Server, classifier: PictureClassifier, prompt: str = NAMED) -> tuple[list[bytes], list[int]]:
    """The files and the seeds of the best of each four of eight pictures, which all are asked for."""
    response = post(server, "generations", model="palette", prompt=prompt, n=8)
    told = [entry.get("revised_prompt", prompt) for entry in response.json()["data"]]
    candidates = files(response)
    logs = classifier.log_probabilities(symbols_of(candidates))
    scores = [
        sum(part[row, values.index(name)] for part, (_, values) in zip(logs, SPEC.attributes, strict=True)
            for name in text.split(", ") if name in values)
        for row, text in enumerate(told)
    ]  # fmt: skip
    best = [int(np.argmax(scores[first : first + 4])) + first for first in (0, 4)]
    return [candidates[index] for index in best], [seeds(response)[index] for index in best]


@pytest.mark.every_engine(quick=True)
@pytest.mark.parametrize("prompt", [NAMED, "orc"])
def test_the_best_is_returned_and_its_seed_alone_gives_it_again(
    server: Server, classifier: PictureClassifier, prompt: str
) -> None:
    response = post(server, "generations", **BEST | {"prompt": prompt})
    best, their_seeds = expected(server, classifier, prompt)
    assert files(response) == best
    assert seeds(response) == their_seeds
    assert their_seeds[1] in [part_seed(7, index) for index in range(4, 8)]
    assert response.headers["x-seed"] == "7", "the request's"
    for entry, file in zip(response.json()["data"], best, strict=True):
        told = entry.get("revised_prompt", prompt)
        (again,) = files(post(server, "generations", model="palette", prompt=told, seed=entry["seed"]))
        with Image.open(io.BytesIO(again)) as one, Image.open(io.BytesIO(file)) as other:
            assert one.tobytes() == other.tobytes()
            assert json.loads(other.info["recipe"])["seed"] == entry["seed"]
        if told == prompt:
            assert again == file


def test_all_candidates_are_counted(server: Server) -> None:
    found = post(server, "generations", **BEST).json()
    assert len(found["data"]) == 2
    assert found["usage"]["output_tokens"] == 8 * SPEC.dims
    assert found["usage"]["input_tokens"] == 3


@pytest.mark.parametrize("best_of", [1, 3])
def test_the_answer_says_what_pictures_show(server: Server, classifier: PictureClassifier, best_of: int) -> None:
    response = post(server, "generations", **BEST | {"best_of": best_of})
    shown = classifier.shown(symbols_of(files(response)))
    names = [name for name, _ in SPEC.attributes]
    for entry, values in zip(response.json()["data"], shown, strict=True):
        said = {
            n: {"value": v.value, "probability": round(v.probability, 3)} for n, v in zip(names, values, strict=True)
        }
        assert entry["attributes"] == said


def test_a_model_without_a_classifier_says_nothing_and_has_no_best(server: Server) -> None:
    assert "attributes" not in post(server, "generations").json()["data"][0]
    refused = check_envelope(post(server, "generations", best_of=2), 400, "best_of")
    assert refused["code"] == "model_not_capable"
    assert post(server, "generations", best_of=1).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"n": 3, "best_of": 4}, 400, "invalid_value"),
        ({"best_of": 9}, 400, None),
        ({"best_of": 0}, 400, None),
        ({"best_of": True}, 400, None),
        ({"stream": True, "partial_images": 1}, 400, "conflict"),
    ],
)
def test_what_is_refused_is_named(server: Server, changes: dict[str, Any], status: int, code: str | None) -> None:
    refused = check_envelope(post(server, "generations", **BEST | changes), status, "best_of")
    assert code in (None, refused["code"])


def test_a_stream_has_the_best_at_its_end(server: Server, classifier: PictureClassifier) -> None:
    best, their_seeds = expected(server, classifier)
    told = events(post(server, "generations", **BEST, stream=True, response_format=None))
    assert [event["type"] for event in told] == ["image_generation.completed"] * 2
    assert [base64.b64decode(event["b64_json"]) for event in told] == best
    assert [event["seed"] for event in told] == their_seeds
    assert all(event["attributes"].keys() == SPEC.named.keys() for event in told)


def test_urls_and_the_jobs_file_have_the_best(server: Server, classifier: PictureClassifier) -> None:
    best, their_seeds = expected(server, classifier)
    response = post(server, "generations", **BEST, response_format="url")
    assert files(response) == best
    archive = content(server, response.headers["x-job-id"])
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        assert [file.read(name) for name in file.namelist()] == best
    one = post(server, "generations", **BEST | {"n": 1, "response_format": "url"})
    alone = content(server, one.headers["x-job-id"])
    assert alone.content == best[0]
    assert f"-{their_seeds[0]}.png" in alone.headers["content-disposition"]


def test_the_same_key_is_the_same_job(server: Server) -> None:
    first, second = (post(server, "generations", {"idempotency-key": "best"}, **BEST) for _ in range(2))
    assert first.headers["x-job-id"] == second.headers["x-job-id"]
    assert first.json() == second.json()


def test_a_manifest_says_it_and_is_verified(server: Server) -> None:
    manifest = manifest_of(server, submit(server, **BEST))
    assert manifest["request"]["best_of"] == 4
    assert manifest["output"]["samples"] == 8 * SPEC.dims
    found = verify(server, manifest).json()
    assert (found["equal"], found["symbols_equal"]) == (True, True)
    fewer = manifest | {"request": manifest["request"] | {"best_of": 3}}
    assert verify(server, fewer).json()["equal"] is False


def test_a_completion_has_candidates_too(server: Server) -> None:
    image = base64_of(written(noise("palette")))
    changes = {"model": "palette", "prompt": NAMED, "image": image, "rows": 2}
    every = post(server, "completions", **changes, n=4)
    best = post(server, "completions", **changes, best_of=4)
    assert files(best)[0] in files(every)
    assert seeds(best)[0] in seeds(every)
    assert best.json()["usage"] == every.json()["usage"]


def test_over_a_websocket_the_best_comes_at_the_end(server: Server, classifier: PictureClassifier) -> None:
    best, their_seeds = expected(server, classifier)
    answer = post(server, "generations", **BEST).json()["data"]
    with watching(server) as watch:
        watch.generate(**BEST)
        start, frames, done = watch.frames()
        assert (start["n"], start["seed"], start["seeds"]) == (2, 7, their_seeds)
        rows = np.frombuffer(b"".join(frames), np.uint8).reshape(SPEC.height, 2, SPEC.width, start["channels"])
        assert done["attributes"] == [entry["attributes"] for entry in answer]
        assert done["rows"] == SPEC.height
        shown = [np.asarray(Image.open(io.BytesIO(file)).convert("RGBA")) for file in best]
        assert same(list(rows.swapaxes(0, 1)), shown)
        watch.generate(**BEST, coarse=True)
        assert watch.error()["param"] == "coarse"
        watch.generate(**BEST | {"n": 3})
        assert watch.error()["param"] == "best_of"


def test_the_library_returns_the_same(server: Server, zoo: Path, classifier: PictureClassifier, tmp_path: Path) -> None:
    best, their_seeds = expected(server, classifier)
    model = load("palette", directory=zoo)
    pictures = model.draw_many(NAMED, 2, best_of=4, seed=7)
    assert len(pictures) == 2
    assert [picture.seed for picture in pictures] == their_seeds
    assert [pictures.file(index, "png") for index in range(2)] == best
    pictures[1].save(tmp_path / "best.png")
    assert (tmp_path / "best.png").read_bytes() == best[1]
    answer = post(server, "generations", **BEST).json()["data"]
    for picture, entry in zip(pictures, answer, strict=True):
        assert {name: value.value for name, value in picture.shown.items()} == {
            name: one["value"] for name, one in entry["attributes"].items()
        }
        assert ", ".join(picture.attributes.values()) == picture.prompt == NAMED
    assert load("rgb", directory=zoo).draw("dog", seed=7).shown == {}
    for draw in (lambda: model.interpolate("elf", "orc", best_of=2), lambda: model.draw_many(NAMED, best_of=9)):
        with pytest.raises(InvalidRequest) as refused:
            draw()
        assert refused.value.param == "best_of"


def test_the_command_draws_the_same(
    ancestral: Run, server: Server, classifier: PictureClassifier, tmp_path: Path
) -> None:
    best, their_seeds = expected(server, classifier)
    told = ancestral(
        "draw", NAMED, "--model", "palette", "--best-of", "4", "--seed", "7", "-o", str(tmp_path / "a.png")
    )
    assert (tmp_path / "a.png").read_bytes() == best[0]
    assert f"seed {their_seeds[0]}" in told.stderr.decode()

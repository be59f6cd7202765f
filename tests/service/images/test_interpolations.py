"""`POST /v1/images/interpolations`, and `GET /v1/images/classes`, which has the vectors that they go between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ancestral.models.engines.images.request import ImageStreamRequest
from ancestral.service.images.schemas import MAX_STEPS
from tests.service.api.envelope import check_envelope
from tests.service.images.pictures import classes_of, draw, engine_of, post, same, seeds, shown
from tests.service.servers import Server
from tests.service.toys import PICTURES


def classes(server: Server) -> list[dict[str, Any]]:
    """Everything that can be asked for, with its vectors."""
    listed = httpx.get(f"{server.url}/v1/images/classes?embeddings=true").json()
    assert listed["object"] == "list"
    found: list[dict[str, Any]] = listed["data"]
    return found


def vector(server: Server, name: str, model: str = "rgb") -> list[float]:
    (found,) = (entry["embedding"] for entry in classes(server) if (entry["id"], entry["model"]) == (name, model))
    return list(found)


def test_classes_and_styles_are_listed(server: Server, zoo: Path) -> None:
    listed = classes(server)
    fields = {"id", "object", "model", "embedding"}
    for entry in listed:
        assert set(entry) - {"thumbnail_url"} == fields | ({"class"} if entry["object"] == "kind" else set())
    assert [(entry["model"], entry["object"], entry["id"]) for entry in listed] == [
        (model, {"subclass": "kind"}.get(attribute, attribute), name)
        for model in ("binary", "diagonal", "palette", "rgb", "subclasses")
        for attribute, names in PICTURES[model].attributes
        for name in names
    ]
    of = {entry["id"]: entry["class"] for entry in listed if entry["object"] == "kind"}
    assert of == {"owl": "Birds", "wren": "Birds", "fox": "Beasts", "heron": "Birds"}
    network, spec = engine_of(zoo, "rgb"), PICTURES["rgb"]
    for entry in (entry for entry in listed if entry["model"] == "rgb"):
        place = 0 if entry["object"] == "class" else 1
        assert len(entry["embedding"]) == spec.condition_channels
        by_name: list[Any] = [None, None]
        by_vector: list[Any] = [None, None]
        by_name[place] = spec.conditions[place].index(entry["id"])
        by_vector[place] = np.array(entry["embedding"], np.float32)
        assert np.array_equal(network.embed_labels(by_name), network.embed_labels(by_vector))
        assert not np.array_equal(network.embed_labels(by_name), network.embed_labels([None, None]))


def test_classes_by_model_and_without_vectors(server: Server) -> None:
    url = f"{server.url}/v1/images/classes"
    everything = httpx.get(url).json()["data"]
    assert not any("embedding" in entry for entry in everything)
    assert [entry | {"embedding": None} for entry in everything] == [
        entry | {"embedding": None} for entry in classes(server)
    ]
    subclasses = httpx.get(f"{url}?model=subclasses&embeddings=true").json()["data"]
    assert subclasses == [entry for entry in classes(server) if entry["model"] == "subclasses"]
    assert httpx.get(f"{url}?model=tiny").json()["data"] == []
    check_envelope(httpx.get(f"{url}?model=frog"), 404, "model")
    check_envelope(httpx.get(f"{url}?embeddings=perhaps"), 400, "embeddings")


@pytest.mark.parametrize("model", ["rgb", "binary"])
def test_the_ends_are_the_classes(server: Server, model: str) -> None:
    first, _, last = classes_of(model)
    response = post(server, "interpolations", model=model, steps=6, **{"from": first.upper(), "to": last})
    found = shown(response)
    assert seeds(response) == [7] * 6
    assert same([found[0], found[-1]], [draw(server, model=model, prompt=name)[0] for name in (first, last)])
    assert response.json()["usage"]["output_tokens"] == 6 * PICTURES[model].dims


@pytest.mark.parametrize("steps", [2, 5, MAX_STEPS])
def test_what_lies_between_is_the_networks(server: Server, zoo: Path, steps: int) -> None:
    network = engine_of(zoo, "rgb")
    one, other = (network.embed_labels([label, 1]) for label in (0, 2))
    asked = [np.float32(one * (1 - share) + other * share) for share in np.linspace(0, 1, steps)]
    wanted = network.draw([ImageStreamRequest(7, 0.5, np.asarray(h, np.float32)) for h in asked])
    assert same(shown(post(server, "interpolations", steps=steps, style="crayon", temperature=0.5)), list(wanted))


def test_what_lies_between_is_led_away_from_any_class(server: Server, zoo: Path) -> None:
    network = engine_of(zoo, "rgb")
    one, other, away = (network.embed_labels([label, 1]) for label in (0, 2, None))
    between = [np.asarray(one * (1 - share) + other * share, np.float32) for share in (0.0, 0.5, 1.0)]
    wanted = network.draw([ImageStreamRequest(7, 0.5, h, guidance=2.0, unconditional=away) for h in between])
    found = shown(post(server, "interpolations", style="crayon", temperature=0.5, guidance=2.0))
    assert same(found, list(wanted))


def test_vectors_are_ends_like_classes(server: Server) -> None:
    plain = shown(post(server, "interpolations"))
    for ends in (
        {"from": vector(server, "cat")},
        {"to": vector(server, "cow")},
        {"from": vector(server, "cat"), "to": vector(server, "cow")},
    ):
        assert same(shown(post(server, "interpolations", **ends)), plain)
    middle = list(np.mean([vector(server, "cat"), vector(server, "cow")], axis=0))
    assert same(shown(post(server, "interpolations", steps=2, to=middle))[1:], plain[1:2])
    whole = shown(post(server, "interpolations", **{"from": [0] * 5, "to": [1, -1, 1e6, -1e6, 0.5]}))
    assert len(whole) == 3


def test_kinds_are_ends_and_a_class_that_is_an_end_is_of_no_kind(server: Server, zoo: Path) -> None:
    network = engine_of(zoo, "subclasses")
    subclasses: dict[str, Any] = {"model": "subclasses", "steps": 3}
    one, other = network.embed_labels([0, None, 1]), network.embed_labels([1, None, None])
    hs = [np.asarray(one * (1 - share) + other * share, np.float32) for share in (0.0, 0.5, 1.0)]
    wanted = list(network.draw([ImageStreamRequest(7, h=h) for h in hs]))
    assert same(shown(post(server, "interpolations", **subclasses, **{"from": "WREN", "to": "beasts"})), wanted)
    ends = {"from": vector(server, "wren", "subclasses"), "to": "beasts"}
    assert same(shown(post(server, "interpolations", **subclasses, **ends)), wanted)


def test_any_is_an_end_too(server: Server) -> None:
    found = shown(post(server, "interpolations", **{"from": "any"}))
    assert same(found[:1], draw(server, prompt="any"))


def test_defaults_and_forms(server: Server) -> None:
    response = post(server, "interpolations", steps=None, response_format=None, size="16x12", output_format="webp")
    assert len(shown(response)) == 8
    assert all("url" in entry for entry in response.json()["data"])
    assert shown(response)[0].shape == (12, 16, 3)
    drawn = post(server, "interpolations", seed=None)
    assert same(shown(post(server, "interpolations", seed=seeds(drawn)[0])), shown(drawn))


def test_an_unknown_class_is_told_the_nearest(server: Server) -> None:
    error = check_envelope(post(server, "interpolations", to="cows"), 400, "to")
    assert error["code"] == "class_not_found"
    assert "nearest: cow" in error["message"]
    error = check_envelope(post(server, "interpolations", to=[0.0] * 6), 400, "to")
    assert error["code"] == "invalid_embedding"
    assert "5 numbers, not 6" in error["message"]

"""KServe's routes: `/v2` and the models below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from ancestral.models import checkpoint
from ancestral.service import __version__
from tests.service.api.test_refusals import check_envelope
from tests.service.support import Server


def get(server: Server, path: str) -> Any:
    response = httpx.get(f"{server.url}{path}")
    assert response.status_code == 200, response.text
    return response.json()


def tensors(listed: list[dict[str, Any]]) -> dict[str, tuple[str, list[int]]]:
    return {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in listed}


def test_the_server_says_what_it_is(server: Server) -> None:
    assert get(server, "/v2") == {"name": "ancestral", "version": __version__, "extensions": []}


@pytest.mark.parametrize(("model", "said"), [("tiny", "input"), ("free", "duration")])
def test_a_model_that_speaks(server: Server, zoo: Path, model: str, said: str) -> None:
    found = get(server, f"/v2/models/{model}")
    assert found.keys() == {"name", "versions", "platform", "inputs", "outputs"}
    assert (found["name"], found["platform"]) == (model, "ancestral_wavenet")
    assert found["versions"] == [checkpoint.load(zoo / model / "wavenet").sha256]
    inputs = tensors(found["inputs"])
    assert inputs.keys() == {said, "voice", "seed", "temperature"}
    assert inputs["voice"] == ("BYTES", [1])
    assert tensors(found["outputs"]) == {"audio": ("INT16", [-1])}


def test_a_model_that_draws(server: Server) -> None:
    found = get(server, "/v2/models/sketch")
    assert found["platform"] == "ancestral_pixelcnn"
    inputs = tensors(found["inputs"])
    assert inputs.keys() == {"prompt", "style", "n", "guidance", "seed", "temperature"}
    (shape,) = [shape for name, (_, shape) in tensors(found["outputs"]).items() if name == "images"]
    assert shape[:3] == [-1, 6, 8]
    assert shape[3] in (1, 3)


@pytest.mark.parametrize("model", ["tiny", "free", "sketch", "fog", "mirror"])
def test_inputs_are_fields_of_the_requests(server: Server, model: str) -> None:
    schemas = get(server, "/openapi.json")["components"]["schemas"]
    names = tensors(get(server, f"/v2/models/{model}")["inputs"]).keys()
    requests = {"tiny": "SpeechRequest", "free": "GenerationRequest", "mirror": "ReconstructionForm"}
    request = requests.get(model, "ImageRequest")
    assert names <= schemas[request]["properties"].keys()


def test_an_unknown_model(server: Server) -> None:
    error = check_envelope(httpx.get(f"{server.url}/v2/models/nope"), 404, "model")
    assert error["code"] == "model_not_found"

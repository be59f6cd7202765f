"""Sends hostile requests to a server, and checks that each is refused by name or honoured in full, as documented."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from typing import Any, Final
from urllib.parse import quote

import httpx
import jsonschema
from PIL import Image

from ancestral.catalog.seeds import seed_of_text
from ancestral.formats import MEDIA_TYPES
from tests.service.hostile import check_refusal, encoded

JSON_HEADERS: Final = {"content-type": "application/json"}
TRANSPORT: Final = frozenset({"stream", "stream_format", "partial_images", "image", "prompt_audio"})
"""Fields that a manifest does not repeat: how the answer is sent, and what was uploaded."""
NO_EFFECT: Final = frozenset({"instructions", "user", "quality", "moderation", "timestamps"})
"""Fields that change no output: those of OpenAI's that are accepted, and what is told beside the sound."""
PICTURE: Final = {"model": "rgb", "prompt": "cat", "seed": 7}
Document = dict[str, Any]


def number_of(seed: float | str) -> int:
    """The number that a seed in JSON stands for: itself, its digits, or that of any other text."""
    return seed_of_text(seed) if isinstance(seed, str) else int(seed)


class Fuzzer:
    """Sends requests to one server, and counts what became of them."""

    def __init__(self, client: httpx.Client, document: Document) -> None:
        self.client = client
        self.document = document
        self.counts: Counter[int] = Counter()
        job = client.post("/v1/images/generations", json=PICTURE).headers["x-job-id"]
        self.manifest: dict[str, Any] = client.get(f"/v1/jobs/{job}/manifest").json()
        """The manifest of a job, to be changed."""

    def post(self, path: str, body: Any) -> None:
        """A request with a JSON body: refused by name, or honoured."""
        response = self.client.post(path, content=encoded(body), headers=JSON_HEADERS)
        self.check_described("post", path, response)
        if response.status_code >= 400:
            inner = set(self.manifest["request"]) if path == "/v1/verify" else set()
            check_refusal(response, names(body), self.fields(path) | inner)
            return
        if path != "/v1/verify" and isinstance(body, dict):  # null is an absent field, which no schema says
            body = {name: value for name, value in body.items() if value is not None}
        jsonschema.validate(body, self.document | self.schema(path), jsonschema.Draft202012Validator)
        if path == "/v1/verify":
            self.check_verified(body, response.json())
        else:
            self.check_honoured(path, body, response)

    def check_described(self, method: str, path: str, response: httpx.Response) -> None:
        """The status is documented for this route, and JSON keeps to the schema that is documented for it."""
        self.counts[response.status_code] += 1
        operation = self.document["paths"].get(path, {}).get(method)
        if operation is None:  # no such route, or one that the document does not list
            return
        described = operation["responses"][str(response.status_code)]
        media = response.headers.get("content-type", "").partition(";")[0]
        if media == "application/json":
            schema = self.document | described["content"][media]["schema"]
            jsonschema.validate(response.json(), schema, jsonschema.Draft202012Validator)

    def check_verified(self, manifest: dict[str, Any], answer: dict[str, Any]) -> None:
        """Exactly the fields that differ from those of the job are named; for another request, only fields that can."""
        true = self.manifest
        assert answer["equal"] == (not answer["differs"])
        if manifest["request"] != true["request"]:
            assert set(answer["differs"]) <= {f"output.{name}" for name in true["output"]} | {"engine"}
            return
        differs = {f"output.{name}" for name, value in true["output"].items() if manifest["output"][name] != value}
        differs |= {"engine"} if manifest["engine"] != true["engine"] else set()
        assert set(answer["differs"]) == differs

    def schema(self, path: str) -> Document:
        """The schema of a route's JSON body."""
        content: Document = self.document["paths"][path]["post"]["requestBody"]["content"]
        found: Document = next(iter(content.values()))["schema"]
        return found

    def fields(self, path: str) -> set[str]:
        """The fields of a route's body."""
        name = self.schema(path)["$ref"].rpartition("/")[2]
        return set(self.document["components"]["schemas"][name]["properties"])

    def check_honoured(self, path: str, body: dict[str, Any], response: httpx.Response) -> None:
        """Everything that was sent is in the manifest of the job, or shows in the response."""
        asked = dict(body)
        job = response.headers["x-job-id"]
        request = self.client.get(f"/v1/jobs/{job}/manifest").json()["request"]
        asked_size = asked.pop("size", "auto")
        asked.pop("background", None)  # "auto" and "opaque" are one where nothing can be transparent
        for name in set(asked) - TRANSPORT - NO_EFFECT:
            wanted = asked[name]["id"] if name == "voice" and isinstance(asked[name], dict) else asked[name]
            told = request[name]
            if name == "seed":
                told, wanted = number_of(told), number_of(wanted)
            assert told == wanted, (name, wanted, request)
        assert asked_size in ("auto", request.get("size"))
        assert request.get("background", "opaque") == "opaque"
        if "seed" in asked:
            assert response.headers["x-seed"] == str(number_of(asked["seed"]))
        kind = response.headers["content-type"].partition(";")[0]
        events = asked.get("stream", False) or asked.get("stream_format") == "sse"
        if "/audio/" in path:
            form = asked.get("response_format", "mp3")
            assert kind == ("text/event-stream" if events else MEDIA_TYPES[form].partition(";")[0])
            assert response.content
        elif events:
            self.check_events(asked, response)
        else:
            self.check_pictures(asked, request["size"], response.json())

    def check_events(self, asked: dict[str, Any], response: httpx.Response) -> None:
        """As many pictures, finished and partial, as were asked for."""
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
        kinds = Counter(event["type"].rpartition(".")[2] for event in events)
        count = asked.get("n", 1)
        assert kinds == +Counter(completed=count, partial_image=count * asked.get("partial_images", 0))

    def check_pictures(self, asked: dict[str, Any], size: str, answer: dict[str, Any]) -> None:
        """As many pictures as were asked for, of the size and in the format that were asked for."""
        assert len(answer["data"]) == asked.get("n", asked.get("steps", 8) if "from" in asked else 1)
        (kind,) = {name for entry in answer["data"] for name in entry if name in ("url", "b64_json")}
        assert kind == asked.get("response_format", "url")
        assert answer["size"] == size
        form = asked.get("output_format", "png")
        entry = answer["data"][0]
        data = self.client.get(entry["url"]).content if kind == "url" else base64.b64decode(entry["b64_json"])
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format or "").lower() == form
            assert f"{picture.width}x{picture.height}" == answer["size"]

    def form(self, path: str, fields: dict[str, Any], file: bytes, file_field: str) -> None:
        """A form: refused by name, or answered."""
        text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
        text = {clean(name): clean(value) for name, value in text.items()}
        response = self.client.post(path, data=text, files={file_field: file})
        self.check_described("post", path, response)
        if response.status_code >= 400:
            check_refusal(response, {file_field, *text}, self.fields(path))
        else:
            assert set(text) <= self.fields(path)

    def get(self, operation: str, path: dict[str, str], query: dict[str, str], headers: dict[str, str]) -> None:
        """A request without a body: refused by name, or answered, and then all of its parameters are known."""
        method, template = operation.split(" ")
        url = template.format(**{name: quote(clean(value), safe="") for name, value in path.items()})
        query = {clean(name): clean(value) for name, value in query.items()}
        response = self.client.request(method, url, params=query, headers=headers)
        self.check_described(method.lower(), template, response)
        operations = self.document["paths"].get(template, {})
        known = {parameter["name"] for parameter in operations.get(method.lower(), {}).get("parameters", [])}
        if response.status_code >= 400:
            check_refusal(response, {*path, *query, *headers}, known | {"model", "name"})
        else:
            assert set(query) <= known


def clean(text: str) -> str:
    """A text that can be sent in a form or a URL."""
    return text.encode("utf-8", "replace").decode()


def names(value: Any) -> set[str]:
    """The names of all fields, nested ones too: a name that is no Unicode is told without the path to it."""
    if isinstance(value, dict):
        return set(value).union(*map(names, value.values()))
    return set().union(*map(names, value)) if isinstance(value, list) else set()

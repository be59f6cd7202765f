"""Books and batches while workers, API processes and masters of Redis are killed at random moments, and some of them
are cancelled: whatever was accepted ends once, with the bytes that it has undisturbed."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from ancestral.service.broker.job import key
from tests.chaos.servers import ReplicatedServers
from tests.chaos.support import SECONDS, House, answer, order
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KILLS", "12"))
FAILOVER_EVERY = 3
"""Of the kills, one in so many is that of a master of Redis, or another way to replace it."""
LINES = 12
MOST = 30
"""Batches of each of the three kinds, and books of the two: a caller may have 100."""
SPEECH, PICTURES = "/v1/audio/speech", "/v1/images/generations"
BOOK = "\n\n".join(f"# Day {n}\n\n{order(n)['input']}" for n in range(10))
FORMS = ("m4b", "flac")
Json = dict[str, Any]


def line(number: int, url: str) -> Json:
    """A line of a batch: one sound in four is left to be fetched, all else is in the answer."""
    spoken = order(number) | {"stream_format": "json" if number % 4 else "audio", "speed": 1.0}
    drawn = {"model": "canvas", "prompt": "cat", "n": 2, "seed": number, "response_format": "b64_json"}
    body = spoken if url == SPEECH else drawn
    return {"custom_id": str(number), "method": "POST", "url": url, "body": body}


@dataclass
class Client:
    """Asks whichever API process there is, and again while none answers: nothing else may be wrong."""

    house: House
    chance: random.Random
    ended: dict[str, Json] = field(default_factory=dict)
    """Batches that have ended, as they were described then, by their address."""

    def ask(self, method: str, path: str, refused: int = 503, **options: Any) -> httpx.Response:
        """An answer other than 503 and, if Redis may not know any more what has ended, another one."""
        return answer(lambda: self._once(method, path, **options), refused, lost=(httpx.TransportError,))

    def _once(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.chance.choice(self.house.apis).url + path, timeout=SECONDS, **options)

    def accepted(self, path: str, token: str, **options: Any) -> str:
        """The address of a new document. If no answer came it may be there all the same, and is looked for."""
        while True:
            with suppress(httpx.TransportError):
                response = self._once("POST", path, **options)
                if response.is_success:
                    return f"{path}/{response.json()['id']}"
                assert response.status_code in (429, 503), response.text
            for document in self.ask("GET", f"{path}?limit=100").json()["data"]:
                if json.dumps(token) in json.dumps(document):
                    return f"{path}/{document['id']}"
            time.sleep(0.2)

    def end_of(self, path: str) -> Json:
        """A document, once it has ended."""
        while (found := dict(self.ask("GET", path).json()))["status"] in ("in_progress", "cancelling"):
            time.sleep(0.2)
        return found

    def batch(self, url: str, token: str, cancelled_after: float | None = None) -> Json:
        """What is in the answers of a batch, by line."""
        data = "".join(json.dumps(line(n, url)) + "\n" for n in range(LINES))
        file = self.accepted("/v1/files", token, files={"file": (token, data)}, data={"purpose": "batch"})
        wanted = {"input_file_id": Path(file).name, "endpoint": url, "completion_window": "24h"}
        path = self.accepted("/v1/batches", token, json=wanted | {"metadata": {"token": token}})
        if cancelled_after is not None:
            time.sleep(cancelled_after)
            assert self.ask("POST", f"{path}/cancel").status_code in (200, 409)
        found = self.ended[path] = self.end_of(path)
        assert found["error_file_id"] is None, found
        answers = []
        if output := found["output_file_id"]:
            text = self.ask("GET", f"/v1/files/{output}/content").text
            answers = [json.loads(each) for each in text.splitlines()]
            self.ask("DELETE", f"/v1/files/{output}")
        self.ask("DELETE", file)
        numbers = [int(answer["custom_id"]) for answer in answers]
        assert numbers == sorted(set(numbers)), found
        assert len(numbers) == found["request_counts"]["completed"], found
        cancelled = cancelled_after is not None and found["status"] == "cancelled"
        assert cancelled or (found["status"], len(numbers)) == ("completed", LINES), found
        return {answer["custom_id"]: self._body(answer["response"]["body"]) for answer in answers}

    def _body(self, body: Json) -> Any:
        """What another job for the same request has, too."""
        if "url" not in body:
            return body | {"created": 0}
        return self.ask("GET", f"/v1/jobs/{body['job_id']}/content", refused=409).content

    def book(self, form: str, token: str, deleted_after: float | None = None) -> list[bytes]:
        """The file and the captions of a book; nothing if it is deleted before."""
        fields = {"model": "tiny", "voice": "ann", "seed": "7", "title": "Days", "format": form}
        path = self.accepted("/v1/books", token, files={"file": (token, BOOK)}, data=fields)
        found = []
        if deleted_after is None:
            ended = self.end_of(path)
            assert (ended["status"], ended["error"]) == ("completed", None)
            found = [self.ask("GET", f"{path}/{part}").content for part in ("content", "captions?format=srt")]
            assert self.ask("GET", path).json() == ended
        else:
            time.sleep(deleted_after)
        assert self.ask("DELETE", path).status_code in (200, 404)
        assert self.ask("GET", path).status_code == 404
        return found


@pytest.mark.parametrize("kind", ["sentinels", "cluster"])
def test_what_was_accepted_ends_once(
    environment: dict[str, str], houses: Callable[[str], House], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance, ends = random.Random(), Counter[str]()
    calm = houses("one")
    with calm.workers(1):
        undisturbed = Client(calm, chance)
        expected: dict[str, Any] = {url: undisturbed.batch(url, "calm") for url in (SPEECH, PICTURES)}
        expected |= {form: undisturbed.book(form, "calm") for form in FORMS}

    def batch(number: int, name: str, url: str, *, cancelled: bool = False) -> None:
        found = client.batch(url, f"{name} {number}.", chance.uniform(0.0, 4.0) if cancelled else None)
        assert found == {number: expected[url][number] for number in found}

    def book(number: int, name: str, *, deleted: bool = False) -> None:
        form = FORMS[number % len(FORMS)]
        found = client.book(form, f"{name} {number}.txt", chance.uniform(0.0, 4.0) if deleted else None)
        assert found == ([] if deleted else expected[form])

    def repeated(name: str, work: Callable[[int, str], None]) -> None:
        for number in range(MOST):
            if stopping.is_set():
                return
            work(number, name)
            ends[name] += 1

    work: dict[str, Callable[[int, str], None]] = {
        "speech": partial(batch, url=SPEECH), "pictures": partial(batch, url=PICTURES), "book": book,
        "cancelled speech": partial(batch, url=SPEECH, cancelled=True), "deleted book": partial(book, deleted=True),
    }  # fmt: skip
    stopping = threading.Event()
    with House(environment, tmp_path_factory.mktemp("data"), kind) as house:
        assert isinstance(house.servers, ReplicatedServers)
        with ExitStack() as stack:
            client = Client(house, chance)
            apis = [*house.apis]
            sampling = [stack.enter_context(house.workers(1))[0] for _ in range(2)]
            troubles = itertools.cycle(house.servers.troubles())
            with ThreadPoolExecutor() as pool:
                running = [pool.submit(repeated, *item) for item in work.items()]
                try:
                    for number in range(1, KILLS + 1):
                        time.sleep(chance.uniform(0.0, 3.0))
                        assert not [each.result() for each in running if each.done()]
                        which = chance.randrange(2)
                        if number % FAILOVER_EVERY == 0:
                            (trouble := next(troubles))()
                            ends[trouble.__name__] += 1
                        elif chance.random() < 0.5:
                            sampling[which].kill()
                            sampling[which] = stack.enter_context(house.workers(1))[0]
                            ends["workers killed"] += 1
                        else:
                            house.apis[which].process.kill()
                            house.apis[which] = stack.enter_context(house.api(until="listening"))
                            apis.append(house.apis[which])
                            ends["APIs killed"] += 1
                finally:
                    stopping.set()
                for each in running:
                    each.result()
            eventually(lambda: not house.redis.exists(key("batches_active")))
            assert {path: client.ask("GET", path).json() for path in client.ended} == client.ended
            print(f"{kind}: {dict(ends)}")
            assert not [line for api in apis for line in api.log if "traceback" in line]
        house.check_that_nothing_is_left()

"""`ancestral.connect`: what the library gives, from a real server on a real socket."""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import pytest
import soundfile
from PIL import Image

import ancestral
from ancestral.client import connection
from ancestral.client.connection import Connection, parsed
from ancestral.client.server import RemoteSpeech, RemoteVoice
from ancestral_models.audio.mu_law import from_int16, to_int16
from ancestral_service.broker.clients import Clients
from ancestral_service.broker.connection import Connection as RedisConnection
from ancestral_service.broker.job import Failure, Status
from ancestral_service.broker.queues import end_job
from tests.paths import ROOT
from tests.service.node import run_node
from tests.service.servers import Serve, Server
from tests.service.shaky import ENDLESS, shaky_proxy
from tests.service.toys import SPEECH
from tests.waiting import eventually

TEXT = str(SPEECH["input"])
LONG = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. " * 8


@pytest.fixture(autouse=True)
def _attempts_follow_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)


@pytest.fixture
def remote(server: Server) -> Iterator[ancestral.Server]:
    with ancestral.connect(server.url) as found:
        yield found


@pytest.fixture
def voice(remote: ancestral.Server) -> RemoteVoice:
    return remote.load("tiny").voice("ann")


@pytest.fixture(scope="module")
def here(zoo: Path) -> ancestral.Model:
    """The model of the server, in this process."""
    return ancestral.load("tiny", directory=zoo, engine="native")


def test_the_sound_is_the_librarys(voice: RemoteVoice, here: ancestral.Model) -> None:
    options = {"seed": 7, "speed": 1.25, "voices": {"BEN": "bob"}, "pronunciations": {"canoe": "K AH0 N UW1"}}
    text = f"{TEXT}\nBEN: It was late. [pause:200ms] No!"
    far, near = voice.speak(text, **options), here.voice("ann").speak(text, **options)
    chunks = list(far)
    assert {chunk.dtype for chunk in chunks} == {np.dtype(np.float32)}
    assert np.array_equal(to_int16(np.concatenate(chunks)), to_int16(near.samples))
    assert (far.seed, far.engine, far.duration, far.text) == (7, "native-int8", near.duration, near.text)
    assert (far.words, far.phonemes, far.visemes) == (near.words, near.phonemes, near.visemes)
    assert {word.speaker for word in far.words} == {"ann", "BEN"}


def test_a_seed_that_the_server_has_drawn(voice: RemoteVoice) -> None:
    speech = voice.speak(TEXT)
    samples, _ = soundfile.read(io.BytesIO(speech.encode("wav")), dtype="int16")  # whose seed counts from now on
    for same in (speech, voice.speak(TEXT, seed=speech.seed)):
        assert np.array_equal(samples, to_int16(same.samples))
    first = voice.speak(TEXT)
    assert len(first.samples)
    assert first.seed != speech.seed


def test_files_are_the_servers(server: Server, voice: RemoteVoice, tmp_path: Path) -> None:
    speech = voice.speak(TEXT, seed=7)
    speech.save(tmp_path / "a.mp3", sample_rate=24000)
    job = httpx.get(f"{server.url}/v1/jobs/{speech.job}/content").content
    assert (tmp_path / "a.mp3").read_bytes() == job
    assert [word.text for word in speech.words] == ["the", "birch", "canoe", "slid"]  # of the file's job
    with pytest.raises(ancestral.InvalidRequest, match="must end in"):
        speech.save(tmp_path / "a.ogg")


@pytest.fixture(scope="module")
def whole(server: Server) -> np.ndarray:
    """The samples of the long text."""
    with ancestral.connect(server.url) as remote:
        return long_speech(remote).samples


def long_speech(remote: ancestral.Server) -> RemoteSpeech:
    return remote.load("tiny").voice("ann").speak(LONG, seed=7)


@pytest.mark.parametrize("most", [700, 20_001])
def test_broken_streams_and_downloads_go_on(
    server: Server, remote: ancestral.Server, whole: np.ndarray, most: int
) -> None:
    with shaky_proxy(server.port, most) as url, ancestral.connect(url) as shaky:
        speech, before = long_speech(shaky), server.newest()
        assert np.array_equal(speech.samples, whole)
        jobs = httpx.get(f"{server.url}/v1/jobs").json()["data"]
        assert [job["id"] for job in jobs].index(before) == 1  # one job, however often the stream broke
        assert speech.words
        assert long_speech(shaky).encode("wav") == long_speech(remote).encode("wav")


def test_a_sound_whose_reading_was_interrupted_is_whole(
    remote: ancestral.Server, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()

    def interrupted(samples: np.ndarray) -> np.ndarray:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return from_int16(samples)

    monkeypatch.setattr("ancestral.client.server.from_int16", interrupted)
    speech = long_speech(remote)
    with pytest.raises(KeyboardInterrupt):
        list(speech)
    assert np.array_equal(speech.samples, whole)


def test_what_is_altered_on_the_way_is_asked_for_twice(voice: RemoteVoice, monkeypatch: pytest.MonkeyPatch) -> None:
    http, asked = voice._connection.http, list[str]()
    stream = http.stream

    @contextmanager
    def altered(method: str, path: str, **options: Any) -> Iterator[httpx2.Response]:
        with stream(method, path, **options) as answer:
            asked.append(path)
            answer.headers["etag"] = "of another file"
            yield answer

    @contextmanager
    def cut(method: str, path: str, **options: Any) -> Iterator[httpx2.Response]:
        with stream(method, path, **options) as answer:
            yield answer
        if not options["headers"]:
            raise httpx2.ReadError("after the last byte")

    whole = voice.speak(TEXT, seed=7).encode("wav")
    monkeypatch.setattr(http, "stream", cut)
    assert voice.speak(TEXT, seed=7).encode("wav") == whole
    monkeypatch.setattr(http, "stream", altered)
    with pytest.raises(ancestral.ServerError, match="differs from its hash"):
        voice.speak(TEXT).encode("wav")
    assert len(asked) == 2


def test_an_answer_that_was_lost_is_not_computed_again(
    server: Server, remote: ancestral.Server, voice: RemoteVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, picture = voice.speak(TEXT, seed=7).encode("wav"), remote.load("rgb").draw("cat", seed=7).file("png")
    send, lost = remote.connection.http.request, iter([])

    def losing(*args: Any, **options: Any) -> httpx2.Response:
        answer = send(*args, **options)
        if next(lost, False):
            raise httpx2.ReadError("lost")
        return answer

    monkeypatch.setattr(remote.connection.http, "request", losing)
    rgb = remote.load("rgb")
    for ask in (lambda: voice.score(sound, TEXT), lambda: rgb.score(picture, "cat"), lambda: remote.detect(sound)):
        known, lost = newest(server), iter([True])
        assert ask()
        assert len(newest(server) - known) == 1


def fail(server: Server, job: str, failure: Failure) -> None:
    """End a job as a worker does that cannot go on."""

    async def end() -> None:
        clients = Clients(RedisConnection(str(server.redis_url)))
        found = await clients.job(job)
        assert found is not None
        assert await end_job(clients._connection, found, Status.FAILED, error=failure)
        await clients._connection.close()

    asyncio.run(end())


def newest(server: Server) -> set[str]:
    """The ids of the newest jobs."""
    return {job["id"] for job in httpx.get(f"{server.url}/v1/jobs").json()["data"]}


LOST = Failure("the workers died", "worker_lost")


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda server, job: httpx.post(f"{server.url}/v1/jobs/{job}/cancel"), "the job is cancelled"),
        (lambda server, job: httpx.delete(f"{server.url}/v1/jobs/{job}"), "no such job"),
        (lambda server, job: fail(server, job, LOST), LOST.message),
    ],
    ids=["cancelled", "deleted", "failed"],
)
def test_a_stream_does_not_begin_a_job_again_that_came_to_nothing(
    server: Server, remote: ancestral.Server, end: Callable[[Server, str], object], message: str
) -> None:
    speech = remote.load("tiny").voice("ann").speak("The birch canoe slid on. " * 160, speed=0.25)
    next(iter(speech))
    job, known = speech.job, newest(server)
    end(server, job)
    for _ in range(2):  # nor is what came before the whole sound
        with pytest.raises((ancestral.ServerError, ancestral.NotFound), match=message):
            _ = speech.samples
    assert server.newest() in known


def test_who_waits_in_the_queue_is_neither_cut_off_nor_asks_for_a_failed_job_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak = partial(httpx.stream, "POST", json=ENDLESS, timeout=60)
    with (
        serve(interactive_slots=1) as server,
        ancestral.connect(server.url) as remote,
        ThreadPoolExecutor(1) as pool,
        speak(url=f"{server.url}/v1/audio/speech") as held,
    ):
        pieces, before, voice = held.iter_raw(), server.newest(), remote.load("tiny").voice("ann")
        assert next(pieces)
        monkeypatch.setattr(connection, "_TIMEOUT", 0.5)
        waiting = pool.submit(lambda: voice.speak(TEXT).samples)
        job = str(server.newest(other_than=before))
        for _ in range(20):  # a second, twice the time that is waited for an answer
            assert next(pieces), "whoever reads keeps the slot"
            assert httpx.get(f"{server.url}/v1/jobs/{job}").json()["queue_position"] == 0
            time.sleep(0.05)
        fail(server, job, LOST)
        with pytest.raises(ancestral.ServerError, match=LOST.message) as caught:
            waiting.result(60)
        assert (caught.value.status, server.newest()) == (500, job)


def test_a_stream_goes_on_only_from_the_same_engine(server: Server) -> None:
    swap = (b"x-engine: native", b"x-engine: abacus")
    with shaky_proxy(server.port, 20_001, swap) as url, ancestral.connect(url) as remote:
        speech = long_speech(remote)
        with pytest.raises(ancestral.ServerError, match="another engine"):
            list(speech)


def test_what_the_server_takes_only_as_a_job(shared: Callable[..., Server], whole: np.ndarray) -> None:
    with ancestral.connect(shared(interactive_seconds=1).url) as remote:
        speech = long_speech(remote)
        assert np.array_equal(speech.samples, whole)
        assert speech.words
        score = remote.load("tiny").voice("ann").score(speech.encode("wav"), LONG)
        assert score["samples"] == len(whole)
        taken = remote.load("tiny").voice("ann").speak(LONG, speed=0.25)
        with ThreadPoolExecutor(1) as pool:
            heard = pool.submit(list, taken)
            eventually(lambda: taken._stream is not None and taken._stream.job is not None)
            taken.cancel()
            assert heard.result(60) == []
        assert parsed(remote.connection.request("GET", f"/v1/jobs/{taken.job}"))["status"] == "cancelled"


def test_words_are_asked_for_after_every_eighth_piece(
    remote: ancestral.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([{"complete": False}, {"complete": True, "words": []}])
    read, speech = list[int](), long_speech(remote)
    monkeypatch.setattr(remote.connection, "get", lambda path: next(answers))
    monkeypatch.setattr(RemoteSpeech, "job", "job_0")
    monkeypatch.setattr(speech, "_read", lambda: read.append(1) is None)
    assert (speech.words, len(read)) == ([], 8)


def test_cancel_ends_the_job(server: Server, remote: ancestral.Server) -> None:
    speech = remote.load("tiny").voice("ann").speak("The birch canoe slid on. " * 160, speed=0.25)
    first = threading.Event()

    def listen() -> None:
        for _ in speech:
            first.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert first.wait(60)
    speech.cancel()
    listener.join(60)
    assert not listener.is_alive()
    assert server.ended(speech.job)["status"] == "cancelled"
    speech.cancel()  # it has ended
    begun = remote.load("tiny").voice("ann").speak(TEXT)
    chunks = iter(begun)
    assert len(next(chunks))
    server.ended(begun.job)  # all of its sound is on its way
    begun.cancel()
    assert list(chunks) == []
    unread = remote.load("tiny").voice("ann").speak(TEXT)
    unread.cancel()
    assert list(unread) == []


def test_pictures_are_the_librarys(remote: ancestral.Server, zoo: Path, tmp_path: Path) -> None:
    model = ancestral.load("palette", directory=zoo, engine="native")
    near = model.draw_many("elf", 3, seed=7)
    far = remote.load("palette").draw_many("elf", 3, seed=7)
    assert len(far) == 3
    for ours, theirs in zip(near, far, strict=True):
        assert np.array_equal(ours.array, theirs.array)
        assert ours.seed == theirs.seed
        assert theirs.prompt is not None
        assert set(ours.attributes.values()) == set(theirs.prompt.split(", "))
    remote.load("palette").draw("elf", background="transparent").save(tmp_path / "far.jpg")
    assert (tmp_path / "far.jpg").read_bytes().startswith(b"\xff\xd8\xff"), "JPEG"
    far[1].save(tmp_path / "far.png", scale=3)
    near[1].save(tmp_path / "near.png", scale=3)
    assert np.array_equal(
        *(np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGBA")) for name in ("far", "near"))
    )
    grey = remote.load("grey").draw(seed=7)
    assert np.array_equal(grey.array, ancestral.load("grey", directory=zoo, engine="native").draw(seed=7).array)
    assert grey.prompt is None
    assert remote.draw("orc, axe,", seed=7).prompt is not None


def test_scores_and_recipes_are_the_librarys(
    remote: ancestral.Server, voice: RemoteVoice, here: ancestral.Model, zoo: Path
) -> None:
    sound = here.voice("ann").speak(TEXT, seed=7).encode("wav")
    near, far = here.voice("ann").score(sound, TEXT), voice.score(sound, TEXT)
    assert far["bits_per_sample"] == pytest.approx(near["bits_per_sample"], abs=1e-4)
    assert [word["word"] for word in far["words"]] == ["the", "birch", "canoe", "slid"]
    model = ancestral.load("rgb", directory=zoo, engine="native")
    picture = model.draw("cat, oil", seed=7)._repr_png_()
    scored = remote.score(picture, "cat, oil")
    assert scored["nats"] == pytest.approx(model.score(picture, "cat, oil")["nats"], abs=1e-2)
    assert remote.detect(remote.load("rgb").draw("cat", seed=7).file("png"))["recipe"]["status"] == "equal"
    with pytest.raises(ancestral.InvalidRequest, match="scale"):
        model.draw("cat").save("wide.png", scale=600)


def test_errors_are_the_servers(remote: ancestral.Server, voice: RemoteVoice) -> None:
    for wrong, message in (
        (lambda: remote.load("tiny").voice("nobody"), "tiny has no such voice; it has ann, bob"),
        (lambda: remote.voice("nobody"), "no such voice"),
        (lambda: remote.load("free").voice("ann"), "free is not made for speech"),
        (lambda: remote.draw("a unicorn"), "no model draws a unicorn"),
        (lambda: voice.speak("\u4f60").words, "\u4f60"),
        (lambda: voice.score(b"", 5), "must be a text"),
        (lambda: remote.load("rgb").draw("bird").array, "class"),
        (lambda: list(remote.load("rgb").draw_many("cat", 0)), "n: must be a whole number in 1 … 10"),
        (lambda: remote.detect(b"no file"), "file"),
    ):
        with pytest.raises(ancestral.InvalidRequest, match=message):
            wrong()
    with pytest.raises(ancestral.NotFound, match="no such model"):
        remote.load("other")
    with pytest.raises(ancestral.InvalidRequest) as caught:
        list(voice.speak(TEXT, tempo=1))
    assert caught.value.param == "tempo"


def test_keys(keyed: Server, keys: dict[str, str]) -> None:
    with pytest.raises(ancestral.ServerError, match="API key") as caught:
        ancestral.connect(keyed.url)
    assert caught.value.status == 401
    with ancestral.connect(keyed.url, keys["connect"]) as remote:
        assert len(remote.load("tiny").voice("ann").speak(TEXT, seed=7).samples)
    for wrong in ("a\r\nx-evil: 1", "ü"):
        with pytest.raises(ancestral.InvalidRequest, match="printable ASCII"):
            ancestral.connect(keyed.url, wrong)


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("ftp://x", ancestral.InvalidRequest, "not the URL of a server"),
        ("localhost:8000", ancestral.InvalidRequest, "not the URL of a server"),
        ("http://localhost:eighty", ancestral.InvalidRequest, "not the URL of a server"),
        ("http://localhost:99999", ancestral.InvalidRequest, "not the URL of a server"),
        ("http://\u2100", ancestral.InvalidRequest, "not the URL of a server"),
        (f"http://{'a' * 64}.example", ancestral.InvalidRequest, "not the URL of a server"),
        ("http://127.0.0.1:1", ancestral.ServerError, "the server does not answer: Connection refused"),
    ],
)
def test_no_server(url: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        ancestral.connect(url)


def test_a_closed_connection_is_not_tried_again() -> None:
    closed, raised = Connection("http://127.0.0.1:1"), threading.Event()

    def ask() -> None:
        with pytest.raises(ancestral.ServerError):
            closed.get("/v1/models")
        raised.set()

    asking = threading.Thread(target=ask)
    asking.start()
    closed.close()
    asking.join(10)  # of two minutes
    assert raised.is_set()
    with pytest.raises(ancestral.ServerError, match="HTTP 503"):
        connection.Retry(closed).refused(httpx2.Response(503, headers=[(b"retry-after", b"\xb2")]))


# The JavaScript client, by Node, against a real server.


CLIENT = ROOT / "service/ancestral_service/api/web/page/ancestral.js"


def test_the_client_passes_its_node_tests(
    server: Server, keyed: Server, keys: dict[str, str], shared: Callable[..., Server], tmp_path: Path
) -> None:
    module = tmp_path / "ancestral.mjs"  # as people keep it; older Nodes import no modules from .js files
    module.write_bytes(CLIENT.read_bytes())
    swap = (b"x-engine: native", b"x-engine: abacus")
    with shaky_proxy(server.port, 300) as shaky, shaky_proxy(server.port, 20_001, swap) as other_engine:
        environment = {
            "CLIENT": module.as_uri(), "URL": server.url, "SHAKY": shaky, "OTHER_ENGINE": other_engine,
            "JOBS_ONLY": shared(interactive_seconds=1).url, "KEYED": keyed.url, "KEY": keys["javascript"],
        }  # fmt: skip
        run_node("--test", Path(__file__).with_name("client.test.mjs"), **environment)


@pytest.mark.slow
def test_the_example_of_the_documentation_runs(shared: Callable[..., Server], tmp_path: Path) -> None:
    bundled = shared(models_dir=str(ROOT / "models/zoo"))
    (tmp_path / "ancestral.mjs").write_bytes(httpx.get(f"{bundled.url}/page/ancestral.js").content)
    document = (ROOT / "docs/javascript.md").read_text()
    example, _ = re.findall(r"```js\n(.*?)```", document, re.DOTALL)  # and one of npm's
    (tmp_path / "example.mjs").write_text(example.replace("http://localhost:8000", bundled.url))
    printed = run_node("example.mjs", cwd=tmp_path)
    assert re.search(r"text: 'the',\s+start: 0\.\d+", printed)
    assert soundfile.info(tmp_path / "a.flac").duration > 1
    with Image.open(tmp_path / "elf.png") as picture:
        assert picture.width == 256

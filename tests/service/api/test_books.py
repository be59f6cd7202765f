"""`/v1/books`: books read in the background, chapter by chapter, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from ancestral.service.api.books.work import book_folder, remove_left_folders
from ancestral.service.api.routes import batches as routes
from ancestral.service.broker.clients import Clients
from ancestral.service.broker.job import Job, key
from tests.service.cli.epubs import FILES, write_epub
from tests.service.servers import ServeProcess, Server, process_of
from tests.waiting import eventually

Json = dict[str, Any]
Run = Callable[..., subprocess.CompletedProcess[bytes]]
TEXT = "# One\n\nMabel was late.\n\nBEN: Is it?\n\n# Two\n\nMabel was late.\n"
LONG = "\n\n".join(f"Chapter {c}\n\n" + f"It was day {c} of the long journey home. " * 20 for c in range(1, 25))


def post(server: Server, data: bytes | str, name: str = "book.txt", key: str | None = None, **fields: Any) -> Any:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    form = {field: json.dumps(value) if isinstance(value, dict) else value for field, value in fields.items()}
    file = {"file": (name, data)}
    return httpx.post(f"{server.url}/v1/books", data=form, files=file, headers=headers, timeout=60)


def begun(server: Server, *arguments: Any, **fields: Any) -> Json:
    response = post(server, *arguments, **{"model": "tiny", "seed": 7, **fields})
    assert response.status_code == 202, response.text
    book: Json = response.json()
    assert response.headers["location"] == f"/v1/books/{book['id']}"
    return book


def get(server: Server, book: str) -> Json:
    response = httpx.get(f"{server.url}/v1/books/{book}")
    return {"status": "gone"} if response.status_code == 404 else dict(response.json())


def ended(server: Server, book: str) -> Json:
    eventually(lambda: get(server, book)["status"] != "in_progress", 240)
    return get(server, book)


def content(server: Server, book: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}/v1/books/{book}/content", headers=headers)


def files_of(ancestral: Run, path: Path, form: str, *options: str, model: str = "tiny") -> bytes:
    """What `ancestral read` makes of a file."""
    output = path.with_name(f"result.{form}")
    done = ancestral("read", str(path), "-o", str(output), "--model", model, "--seed", "7", *options)
    assert done.returncode == 0, done.stderr
    return output.read_bytes()


@pytest.fixture(autouse=True)
def _tidy(server: Server) -> Iterator[None]:
    """A caller may have eight books."""
    yield
    for book in httpx.get(f"{server.url}/v1/books").json()["data"]:
        httpx.delete(f"{server.url}/v1/books/{book['id']}")


@pytest.mark.parametrize("model", ["tiny", "shaped"])  # of 16 and of 24 kHz
def test_a_text_becomes_the_file_that_the_command_makes(
    ancestral: Run, server: Server, tmp_path: Path, model: str
) -> None:
    (path := tmp_path / "play.txt").write_text(TEXT)
    with server.unharmed():
        book = begun(server, TEXT, "..\\play.txt", model=model, voice="ann", voices={"BEN": "bob"}, speed=1.5)
        assert (book["status"], book["title"], book["filename"]) == ("in_progress", "play", "play.txt")
        assert [chapter["title"] for chapter in book["chapters"]] == ["One", "Two"]
        found = ended(server, book["id"])
    assert (found["status"], found["progress"], found["error"]) == ("completed", 1.0, None)
    # What occurs twice is spoken once: in the chapter in which it comes first.
    assert [(chapter["characters"], chapter["progress"]) for chapter in found["chapters"]] == [(29, 1.0), (3, 1.0)]
    response = content(server, book["id"])
    options = ("--voice", "ann", "--voices", "BEN=bob", "--speed", "1.5")
    expected = files_of(ancestral, path, "m4b", *options, model=model)
    assert response.content == expected
    assert found["bytes"] == len(expected)
    assert response.headers["content-type"] == "audio/mp4"
    assert response.headers["content-disposition"] == 'inline; filename="play.m4b"'
    with av.open(io.BytesIO(expected)) as container:
        starts = [float(c["start"] * (c["time_base"] or 0)) for c in container.chapters()]
    assert [chapter["start"] for chapter in found["chapters"]] == pytest.approx(starts, abs=0.002)
    jobs = httpx.get(f"{server.url}/v1/jobs?limit=100").json()["data"]
    assert not [job for job in jobs if "Mabel" in (job["excerpt"] or "")]  # the book has their sound


def test_a_book_whose_end_is_stored_is_only_tidied(server: Server) -> None:
    """As after a kill between the end and its removal from the books that are driven."""
    book = begun(server, "It was late.")["id"]
    done, whole = ended(server, book), content(server, book).content
    with server.redis() as redis:
        for kept in ({}, {"data": "It was late."}):  # its text is deleted already, or not
            redis.hset(key("book", book), mapping={"kept": "", **kept})
            redis.sadd(key("batches_active"), book)
            eventually(lambda: not redis.sismember(key("batches_active"), book))
            assert not redis.hexists(key("book", book), "data")
            assert (get(server, book), content(server, book).content) == (done, whole)


def test_a_file_a_chapter_and_captions(ancestral: Run, server: Server, tmp_path: Path) -> None:
    (path := tmp_path / "play.md").write_text(TEXT)
    names = {"BEN": "bob"}
    book, whole = (begun(server, TEXT, voices=names, format="opus", **more)["id"] for more in ({"split": "true"}, {}))
    assert [ended(server, one)["status"] for one in (book, whole)] == ["completed"] * 2
    response = content(server, book)
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"] == 'inline; filename="book.zip"'
    line = ("read", str(path), "--model", "tiny", "--seed", "7", "--voices", "BEN=bob", "--title", "book")
    line = (*line, "--captions", "vtt", "--captions", "srt")
    assert ancestral(*line, "-o", str(tmp_path / "chapter.opus"), "--split").returncode == 0
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert list(found) == [f"chapter-0{n}.{form}" for n in (1, 2) for form in ("opus", "srt", "vtt")]
    assert found == {name: (tmp_path / name).read_bytes() for name in found}
    assert ancestral(*line, "-o", str(tmp_path / "whole.opus")).returncode == 0
    for form in ("vtt", "srt"):
        captions = httpx.get(f"{server.url}/v1/books/{whole}/captions?format={form}")
        assert captions.content == (tmp_path / f"whole.{form}").read_bytes()
        assert httpx.get(captions.url, headers={"if-none-match": captions.headers["etag"]}).status_code == 304
    early = httpx.get(f"{server.url}/v1/books/{begun(server, LONG)['id']}/captions")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "book_not_completed")


@pytest.mark.slow
def test_events_tell_how_far_it_is(server: Server) -> None:
    book = begun(server, LONG)["id"]
    with httpx.stream("GET", f"{server.url}/v1/books/{book}/events", timeout=240) as response:
        data = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: ")]
    assert [found["type"] for found in data] == ["book.in_progress"] * (len(data) - 1) + ["book.completed"]
    progress = [found["book"]["progress"] for found in data]
    assert progress == sorted(progress)
    assert (progress[-1], len(data) > 2) == (1.0, True)
    with httpx.stream("GET", f"{server.url}/v1/books/{book}/events") as response:
        assert sum(line.startswith("data: ") for line in response.iter_lines()) == 1


@pytest.mark.parametrize("driven", [True, False])  # or another process has its lease, and it hears of that later
def test_a_deleted_book_leaves_no_jobs(server: Server, driven: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(broker: Clients, owner: str, key: str) -> Job | None:
        await asyncio.sleep(0.1)  # in which a part is submitted that is not looked for any more
        return await bound(broker, owner, key)

    bound = Clients.bound
    monkeypatch.setattr(Clients, "bound", slowly)
    monkeypatch.setattr("ancestral.service.broker.batches.LEASE_SECONDS", 8)

    def jobs() -> list[Json]:
        found = httpx.get(f"{server.url}/v1/jobs?limit=100").json()["data"]
        return [job for job in found if "long journey" in (job["excerpt"] or "")]

    book = begun(server, LONG)
    early = content(server, book["id"])
    assert (early.status_code, early.json()["error"]["code"]) == (409, "book_not_completed")
    eventually(lambda: get(server, book["id"])["progress"])
    if not driven:
        with server.redis() as redis:
            redis.set(key("batch_lease", book["id"]), "killed", ex=8)
    assert jobs()
    assert httpx.delete(f"{server.url}/v1/books/{book['id']}").json() == {
        "id": book["id"], "object": "book", "deleted": True,
    }  # fmt: skip
    assert get(server, book["id"]) == {"status": "gone"}
    if not driven:  # which has spoken a part and made a file since
        with server.redis() as redis:
            redis.hset(left := key("batch_output", book["id"]), "0", "{}")
            redis.set(content_left := key("content_of", book["id"]), "x")
            eventually(lambda: not redis.exists(left) and not redis.exists(content_left))
    eventually(lambda: not jobs(), 60)
    again = begun(server, "It was late.")["id"]  # there is room
    assert ended(server, again)["status"] == "completed"
    assert (get(server, book["id"]), jobs()) == ({"status": "gone"}, [])


def test_folders_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (left := tmp_path / "ancestral-book-1").mkdir()
    (left / "source").write_text("It was late.")
    with book_folder() as used:
        remove_left_folders()
        assert list(tmp_path.iterdir()) == [used]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "status", "param", "message"),
    [
        ({"model": "none"}, 404, "model", "no such model"),
        ({"model": "free"}, 400, "model", "free is not made for speech"),
        ({"voice": "nobody"}, 400, "voice", "no such voice"),
        ({"voices": '{"ANNA": "nobody"}'}, 400, "voices", "ANNA: tiny has no such voice"),
        ({"voices": "{"}, 400, "voices", "is not JSON"), ({"voices": "[]"}, 400, "voices", "must be an object"),
        ({"pronunciations": '{"word": "H3H"}'}, 400, "pronunciations", "word"),
        ({"speed": "9"}, 400, "speed", "at most"), ({"format": "epub"}, 400, "file", "no EPUB"),
        ({"format": "epub", "split": "true"}, 400, "split", "one file"),
        ({"format": "wav", "speed": "0.25", "text": "So. " * 20_000}, 400, "format", "m4b is smaller"),
        ({"sped": "1"}, 400, "sped", "no such parameter"), ({"title": "x" * 257}, 400, "title", "at most 256"),
    ],
)  # fmt: skip
def test_refusals(server: Server, change: Json, status: int, param: str, message: str) -> None:
    fields = {"model": "tiny", "text": TEXT, **change}
    response = post(server, fields.pop("text"), **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param), error
    assert message in error["message"]


def test_books_of_a_caller_are_limited_and_listed(server: Server) -> None:
    first = [begun(server, LONG, format="wav")["id"] for _ in range(routes.MAX_UNFINISHED_BOOKS)]
    refused = post(server, LONG, model="tiny")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_books")
    assert int(refused.headers["retry-after"]) > 0
    listed = httpx.get(f"{server.url}/v1/books?limit=1").json()
    assert (len(listed["data"]), listed["has_more"], listed["data"][0]["id"] in first) == (1, True, True)


def test_each_caller_sees_their_own(keyed: Server, keys: dict[str, str]) -> None:
    ann, bob = ({"authorization": f"Bearer {keys[name]}"} for name in ("books-ann", "books-bob"))
    book = post(keyed, "It was late.", key=keys["books-ann"], model="tiny").json()["id"]
    for method, path in (("GET", ""), ("GET", "/content"), ("GET", "/events"), ("DELETE", "")):
        assert httpx.request(method, f"{keyed.url}/v1/books/{book}{path}", headers=bob).status_code == 404
    assert httpx.get(f"{keyed.url}/v1/books", headers=bob).json()["data"] == []
    assert httpx.delete(f"{keyed.url}/v1/books/{book}", headers=ann).status_code == 200


@pytest.mark.slow
def test_a_book_survives_its_processes(
    serve_process: ServeProcess, ancestral: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (path := tmp_path / "book.txt").write_text(LONG)
    settings = {"data_dir": str(tmp_path_factory.mktemp("b"))}
    with serve_process(**settings) as server:
        book = begun(server, LONG)["id"]
        eventually(lambda: get(server, book)["progress"] >= 0.1)
        os.kill(process_of(server, "worker"), signal.SIGKILL)  # its supervisor starts another
        before = get(server, book)["progress"]
        eventually(lambda: get(server, book)["progress"] >= before + 0.1)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with serve_process(**settings) as server:
        found = get(server, book)
        assert (found["status"], found["progress"] > 0.2) == ("in_progress", True)
        assert ended(server, book)["status"] == "completed"
        assert content(server, book).content == files_of(ancestral, path, "m4b")


def test_the_file_has_a_name_and_ranges(server: Server) -> None:
    book = begun(server, "It was late.", format="opus", title="A/Ü", author="N. N.")["id"]
    ended(server, book)
    whole = content(server, book)
    assert content(server, book, range="bytes=10-19").content == whole.content[10:20]
    assert whole.headers["content-disposition"] == "inline; filename=\"A__.opus\"; filename*=UTF-8''A_%C3%9C.opus"
    assert httpx.get(f"{server.url}/v1/books/{book}/manifest.c2pa").json()["error"]["code"] == "no_c2pa"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "there is nothing to speak in it"),
        (b"It was <b>.", "line 1: "),
        (b"%PDF-1.7\nIt was late.", "it is a PDF"), (b"\n<!DOCTYPE HTML><p>It was late.", "it is HTML"),
        (b"<?xml version='1.0'?><html><p>It was late.</p></html>", "it is XML"),
        ("It was late.".encode("utf-16"), "it is UTF-16"), (rb"{\rtf1 It was late.}", "it is RTF"),
        (b"\xef\xbb\xbf" + "Größe".encode("latin-1"), "not UTF-8 at byte 5"),
        (b"It was late. " * 25_000, "325000 characters; this server reads books of up to 300000"),
    ],
)  # fmt: skip
def test_texts_that_are_refused(server: Server, data: bytes, message: str) -> None:
    response = post(server, data, model="tiny")
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]["message"]


def test_hostile_epubs_are_refused_by_name(server: Server, tmp_path: Path) -> None:
    """tests/service/cli/test_epub.py has all kinds."""
    long = str(FILES["OEBPS/text/one.xhtml"]).replace("easy", "".join(map(str, range(1_400_000))))
    with server.unharmed():
        for changed, reason in (
            ({"META-INF/container.xml": None}, "without META-INF"),
            ({"OEBPS/text/one.xhtml": long}, "documents have more than 8 MiB"),
            (None, "no EPUB, as its name says"),
        ):
            data = TEXT if changed is None else write_epub(tmp_path / "a.epub", **changed).read_bytes()
            response = post(server, data, "a.EPUB", model="tiny")
            error = response.json()["error"]
            assert (response.status_code, error["param"], error["code"]) == (400, "file", "book_refused"), reason
            assert reason in error["message"]

"""`WS /v1/text-to-speech/{voice_id}/multi-stream-input`: several contexts on one connection."""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, ExitStack, suppress
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.service.servers import Serve, Server
from tests.service.speech.elevenlabs.support import PCM, Listener, error, hear, open_stream, say
from tests.service.ws_client import LONG, eventually, jobs, small_window, whole

SETTINGS = {"voice_settings": {"speed": 1.0}}


def multi(server: Server, query: str = PCM, **options: Any) -> AbstractContextManager[ClientConnection]:
    """A connection."""
    return open_stream(server, query, route="multi-stream-input", **options)


def closed(connection: ClientConnection) -> int | None:
    """The close code, once the connection has been closed."""
    with suppress(ConnectionClosed):
        while True:
            hear(connection)
    return connection.protocol.close_code


def text(name: str) -> str:
    return f"The birch canoe number {name} slid. Is it late? No!"


def test_contexts_are_spoken_side_by_side(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        for name in ("1", "2"):
            say(connection, {"text": " ", "context_id": name, **SETTINGS}, {"text": text(name), "context_id": name})
        for name in ("2", "1"):
            say(connection, {"context_id": name, "close_context": True})
        listener.until("1", "2")
        for name in ("1", "2"):
            assert listener.sound(name) == whole(server, " " + text(name))
            assert listener.heard[name].text("alignment").strip() == text(name)
        say(connection, {"close_socket": True})
        assert closed(connection) == 1000


def test_a_context_needs_no_name(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        say(connection, {"text": "Hello. "}, {"text": "", "flush": True}, {"close_context": True})
        listener.until(None)
        assert listener.sound(None) == whole(server, "Hello. ")


def test_flush_speaks_an_incomplete_sentence(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        say(connection, {"text": "The birch canoe", "context_id": "a"}, {"context_id": "a", "flush": True})
        expected = whole(server, "The birch canoe")
        while len(listener.sound("a")) < len(expected):
            listener.hear()
        assert listener.sound("a") == expected
        say(connection, {"context_id": "a", "close_context": True})
        listener.until("a")
        assert listener.final == {"a"}


def test_the_socket_closes_after_what_was_flushed_and_closed(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        for name in ("1", "2"):
            say(connection, {"text": text(name), "context_id": name, "flush": True})
        for name in ("1", "2"):
            say(connection, {"context_id": name, "close_context": True})
        say(connection, {"close_socket": True})
        listener.until("1", "2")
        for name in ("1", "2"):
            assert listener.sound(name) == whole(server, text(name))
        assert closed(connection) == 1000


@pytest.mark.parametrize("message", [{"flush": True}, {"close_context": True}, {"text": "", "flush": True}])
def test_an_unknown_context_is_answered(server: Server, message: dict[str, Any]) -> None:
    with multi(server) as connection:
        say(connection, {"text": "", "context_id": "b"}, {"context_id": "b", **message})
        answer = hear(connection)
        assert (answer["error"], answer["contextId"]) == ("context_not_found", "b")
        say(connection, {"text": "Hello.", "context_id": "a"}, *[{"context_id": "a", "close_context": True}] * 2)
        Listener(connection).until("a")
        say(connection, {"context_id": "a", "close_context": True}, {"close_socket": True})  # it has ended: no error
        assert closed(connection) == 1000


def test_a_name_can_be_used_again(server: Server) -> None:
    with multi(server) as connection:
        for words in ("Hello.", "Goodbye."):
            listener = Listener(connection)
            say(connection, {"text": words, "context_id": "a", **SETTINGS}, {"context_id": "a", "close_context": True})
            listener.until("a")
            assert listener.sound("a") == whole(server, words)


def test_a_second_close_cancels(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        say(connection, {"text": LONG, "context_id": "a"}, {"text": "Hello.", "context_id": "b"})
        while not listener.sound("a"):
            listener.hear()
        say(connection, *[{"context_id": "a", "close_context": True}] * 2, {"context_id": "b", "close_context": True})
        listener.until("a", "b")
        assert len(listener.sound("a")) < len(whole(server, LONG))
        assert listener.sound("b") == whole(server, "Hello.")
    assert eventually(lambda: not [job for job in jobs(server) if job["status"] in ("queued", "in_progress")])


@pytest.mark.slow
def test_twenty_contexts_at_random(serve: Serve) -> None:
    chance = random.Random(7)
    names = [str(number) for number in range(20)]
    cancelled = set(chance.sample(names, 6))
    with ExitStack() as stack:
        own = stack.enter_context(serve(max_queued_streams=64))
        expected = {name: whole(own, text(name)) for name in names}
        connection = stack.enter_context(multi(own, f"{PCM}&inactivity_timeout=180"))
        listener = Listener(connection)
        pending = {name: list(_pieces(text(name), chance)) for name in names}
        while pending:
            name = chance.choice(list(pending))
            if pending[name]:
                say(connection, {"text": pending[name].pop(0), "context_id": name})
                if name in cancelled and chance.random() < 0.3:
                    del pending[name]
                    say(connection, *[{"context_id": name, "close_context": True}] * 2)
                if chance.random() < 0.2:
                    say(connection, {"text": "", "context_id": chance.choice(names)})
            else:
                del pending[name]
                say(connection, *[{"context_id": name, "close_context": True}] * (2 if name in cancelled else 1))
        listener.until(*names)
        assert not listener.failed
        for name in names:
            if name in cancelled:
                assert expected[name].startswith(listener.sound(name))
            else:
                assert listener.sound(name) == expected[name]
        say(connection, {"close_socket": True})
        assert closed(connection) == 1000


def _pieces(words: str, chance: random.Random) -> list[str]:
    cuts = sorted({0, len(words), *(chance.randrange(len(words)) for _ in range(4))})
    return [words[start:end] for start, end in pairwise(cuts)]


def test_an_error_ends_its_context_alone(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        say(
            connection,
            {"text": "слово. ", "context_id": "a", "flush": True},
            {"text": "Hello.", "context_id": "b"},
            {"text": "More.", "context_id": "b", **SETTINGS},
            {"text": "Hello.", "context_id": "c"},
            {"context_id": "c", "close_context": True},
        )
        listener.until("a", "b", "c")
        assert listener.failed == {"a": "unsupported_text", "b": "wrong_order"}
        assert listener.sound("c") == whole(server, "Hello.")


def test_a_job_that_fails_ends_its_context_alone(server: Server) -> None:
    with multi(server, "model_id=broken&output_format=pcm_16000&seed=7") as connection:
        listener = Listener(connection)
        say(connection, {"text": "A vision. ", "context_id": "a"}, {"text": "Hello.", "context_id": "b"})
        say(connection, {"context_id": "a", "close_context": True}, {"context_id": "b", "close_context": True})
        listener.until("a", "b")
        assert listener.failed == {"a": "internal_error"}
        assert listener.sound("b") == whole(server, "Hello.", model="broken")


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        ("output_format=ulaw_16000", {"text": "a"}, "literal_error"),
        (PCM, {"text": "a", "voice": "bob"}, "unknown_parameter"),
        (PCM, {"text": 1}, "string_type"),
        (PCM, {"text": "a", "context_id": ""}, "string_too_short"),
    ],
)
def test_a_wrong_message_ends_the_connection(server: Server, query: str, message: dict[str, object], code: str) -> None:
    with multi(server, query) as connection:
        with suppress(ConnectionClosed):  # it may be over before
            say(connection, message)
        assert error(connection)["error"] == code


def test_a_wrong_voice_or_model_ends_the_context(server: Server) -> None:
    for query, voice, code in (("", "nobody", "voice_not_found"), ("model_id=free", "ann", "model_not_capable")):
        with multi(server, query, voice=voice) as connection:
            listener = Listener(connection)
            say(connection, {"text": "Hello.", "context_id": "a"})
            listener.until("a")
            assert listener.failed == {"a": code}


def test_too_many_contexts(server: Server) -> None:
    with multi(server) as connection:
        listener = Listener(connection)
        for number in range(65):
            say(connection, {"text": " ", "context_id": str(number)})
        listener.until("64")
        assert listener.failed == {"64": "too_many_contexts"}


def test_keep_alive_keeps_a_context_alive(server: Server) -> None:
    with multi(server, f"{PCM}&inactivity_timeout=1") as connection:
        listener = Listener(connection)
        say(connection, {"text": "Hello", "context_id": "a"}, {"text": "Hello", "context_id": "b"})
        while "b" not in listener.final:
            say(connection, {"text": "", "context_id": "a"})
            try:
                message = connection.recv(timeout=0.2)
            except TimeoutError:
                continue
            assert '"contextId": "b"' in str(message)
            listener.final.add("b")
        say(connection, {"context_id": "a", "close_context": True})
        listener.until("a")
        assert listener.sound("a") == whole(server, "Hello")
        assert error(connection)["error"] == "input_timeout_exceeded"


def test_a_reader_that_stalls_pauses_its_contexts(server: Server) -> None:
    """What is not read is not sampled, of any context; read at last, it is all there."""
    with multi(server, sock=small_window(server)) as connection:
        names = ["a", "b"]
        for name in names:
            say(connection, {"text": LONG * 4, "context_id": name}, {"context_id": name, "close_context": True})
        listener = Listener(connection)
        listener.hear()
        before = [job["samples_done"] for job in jobs(server)[:2]]
        listener.until(*names)
        expected = whole(server, LONG * 4)
        assert all(samples < len(expected) // 2 for samples in before)
        assert all(listener.sound(name) == expected for name in names)


def test_a_key_is_taken_from_header_or_first_message(keyed: Server, keys: dict[str, str]) -> None:
    key = keys["elevenlabs"]
    for headers, first in (({"xi-api-key": key}, {}), ({}, {"xi_api_key": key})):
        with multi(keyed, additional_headers=headers) as connection:
            listener = Listener(connection)
            say(connection, {"text": "Hello.", "context_id": "a", **first}, {"context_id": "a", "close_context": True})
            listener.until("a")
            assert listener.sound("a")
    with multi(keyed) as connection:
        say(connection, {"text": "Hello.", "context_id": "a"})
        assert error(connection)["error"] == "invalid_api_key"

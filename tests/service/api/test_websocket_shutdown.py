"""What clients of websockets see when the server stops: a goodbye with 1012, once nothing would be lost by it."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.service.images.websocket_client import watching
from tests.service.servers import Serve, ServeProcess, Server
from tests.service.slow_reader import reading_slowly
from tests.service.speech.elevenlabs.support import (
    FIRST,
    hear,
    open_stream,
    rest,
    say,
)
from tests.service.ws_client import (
    LONG,
    SECONDS,
    small_window,
    talking,
    whole,
)

TEXT = LONG * 4


@contextmanager
def beginning(server: Server) -> Iterator[tuple[ClientConnection, bytes]]:
    """A session in ElevenLabs' dialect, of which something has been heard and most has not; and what was heard."""
    with open_stream(server, sock=small_window(server)) as connection:
        say(connection, FIRST | {"voice_settings": {"speed": 0.25}}, {"text": TEXT})
        yield connection, base64.b64decode(hear(connection)["audio"])


def closed(connection: ClientConnection) -> int | None:
    """Hear everything to the end; the code that the server closes with."""
    with pytest.raises(ConnectionClosed) as end:
        list(iter(lambda: connection.recv(timeout=SECONDS), None))
    return end.value.rcvd and end.value.rcvd.code


@pytest.mark.slow
def test_a_session_that_can_resume_is_closed_with_1012(serve: Serve) -> None:
    with serve(shutdown_seconds=30) as server, talking(server, sock=small_window(server)) as talk:
        talk.configure(speed=0.25)
        talk.say("input.text", text=TEXT)
        talk.until_bytes(1)
        server.terminate()
        with suppress(ConnectionClosed):
            for _ in range(20):  # what is said now must not take the goodbye away
                talk.say("input.text", text="It is late. ")
                time.sleep(0.05)
        assert closed(talk.connection) == 1012
        assert server.wait() == 0


@pytest.mark.slow
def test_an_elevenlabs_session_is_served_to_its_end(serve: Serve) -> None:
    with serve(shutdown_seconds=300) as server:
        expected = whole(server, TEXT + LONG, speed=0.25)
        with beginning(server) as (connection, heard), open_stream(server) as silent:
            server.terminate()
            assert closed(silent) == 1012  # the server has seen the signal
            say(connection, {"text": LONG}, {"text": ""})
            assert heard + rest(connection) == expected
        assert server.wait() == 0


def test_in_the_end_it_is_broken_off(serve_process: ServeProcess) -> None:
    with serve_process(shutdown_seconds=1) as server, beginning(server) as (connection, _):
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 10
        assert closed(connection) is None


@pytest.mark.slow
def test_pictures_in_progress_are_completed_before_the_close(serve: Serve) -> None:
    with serve(shutdown_seconds=30, interactive_slots=1) as server, watching(server) as watch:
        with reading_slowly(server), watching(server) as idle:  # it has to wait for the only slot
            watch.generate(n=10)
            server.terminate()
            assert idle.closed() == 1012
        assert len(watch.pictures()) == 10
        assert watch.closed() == 1012
        assert server.wait() == 0


@pytest.mark.slow
def test_a_request_that_is_being_submitted_is_served(serve: Serve) -> None:
    """The signal comes while the server waits for Redis with a message in hand: it counts as work that has begun."""
    with serve(shutdown_seconds=30) as server, watching(server) as watch, watching(server) as idle:
        with server.redis() as redis:
            redis.client_pause(2000)
        watch.generate(n=2)
        server.terminate()
        assert idle.closed() == 1012
        assert len(watch.pictures()) == 2
        assert watch.closed() == 1012
        assert server.wait() == 0

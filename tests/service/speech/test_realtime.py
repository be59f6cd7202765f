"""`WS /v1/realtime`, as OpenAI's own client speaks it. Every event of the server is one of that client's types."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import openai
import pytest
from openai.types.realtime import realtime_server_event
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.errors import InvalidRequest
from ancestral_service.speech.realtime import connection as realtime
from ancestral_service.speech.realtime import schemas
from tests.service.refusals import at_the_door, rows
from tests.service.servers import Serve, Server
from tests.service.ws_client import LONG, SECONDS, checked_error, small_window, whole

# openai 3.60 opens a connection in a way that websockets 17 advises against.
pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")

TEXT = "Dr. Ann has 2 canoes. Is it late? No!"
PCM = {"response_format": "pcm", "sample_rate": 24000}
_UNION = get_args(realtime_server_event.RealtimeServerEvent)[0]
TYPES = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(_UNION)}
"""OpenAI's events of the server, by type."""
OPENING = [
    "response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added",
]  # fmt: skip
ENDING = [
    "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
    "conversation.item.done", "response.output_item.done", "response.done",
]  # fmt: skip


class Talk:
    """One connection of OpenAI's client."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []

    def hear(self) -> dict[str, Any]:
        """The next event."""
        raw = self.connection.recv(timeout=SECONDS)
        event: dict[str, Any] = json.loads(raw)
        TYPES[event["type"]].model_validate_json(raw, strict=True)
        assert event["event_id"] not in {other["event_id"] for other in self.events}
        self.events.append(event)
        return event

    def until(self, kind: str) -> dict[str, Any]:
        """Hear everything up to an event of this type."""
        while (event := self.hear())["type"] != kind:
            assert event["type"] != "error", event
        return event

    def say(self, kind: str, **fields: Any) -> None:
        self.connection.send(json.dumps({"type": kind} | fields))

    def refused(self) -> dict[str, Any]:
        """The next event, which is an error."""
        error = checked_error(self.hear())
        assert set(error) == {"type", "code", "message", "param", "event_id"}
        return error

    def write(self, text: str, role: str = "user", **fields: Any) -> str:
        """Add a message; its id."""
        self.say("conversation.item.create", item=message(text, role), **fields)
        return str(self.until("conversation.item.done")["item"]["id"])

    def respond(self, **response: Any) -> dict[str, Any]:
        """Hear a whole response."""
        self.events.clear()
        self.say("response.create", response=response)
        done: dict[str, Any] = self.until("response.done")["response"]
        return done

    @property
    def sound(self) -> bytes:
        """What was heard of the response."""
        deltas = (event["delta"] for event in self.events if event["type"] == "response.output_audio.delta")
        return b"".join(map(base64.b64decode, deltas))

    @property
    def words(self) -> list[str]:
        kind = "response.output_audio_transcript.delta"
        return [event["delta"] for event in self.events if event["type"] == kind]


def message(text: str, role: str = "user") -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


@contextmanager
def talking(server: Server, model: str = "tiny", key: str = "unused", **query: int) -> Iterator[Talk]:
    """A connection, greeted."""
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key=key) as client,
        client.realtime.connect(model=model, extra_query=query or {"seed": 7}) as connection,
    ):
        talk = Talk(connection._connection)
        assert talk.hear()["type"] == "session.created"
        yield talk


def test_a_conversation_is_spoken(server: Server) -> None:
    with talking(server) as talk:
        session = talk.events[0]["session"]
        output = {"voice": "ann", "format": {"type": "audio/pcm", "rate": 24000}, "speed": 1.0}
        assert session.pop("id").startswith("sess_")
        assert session == {
            "type": "realtime", "object": "realtime.session", "model": "tiny", "output_modalities": ["audio"],
            "audio": {"output": output}, "instructions": "",
        }  # fmt: skip
        item = talk.write(TEXT)
        done = talk.respond()
        kinds = [event["type"] for event in talk.events]
        assert (kinds[:4], kinds[-6:]) == (OPENING, ENDING)
        assert {*kinds[4:-6]} == {"response.output_audio.delta", "response.output_audio_transcript.delta"}
        assert talk.sound == whole(server, TEXT, **PCM)
        assert talk.words == ["Dr. ", "Ann ", "has ", "2 ", "canoes. ", "Is ", "it ", "late? ", "No!"]
        usage = server.speak(stream_format="sse", input=TEXT).text.partition('"usage":')[2]
        spoken = json.loads(usage[: usage.index("}") + 1])
        assert {name: done["usage"][name] for name in spoken} == spoken
        assert (done["status"], done["status_details"], done["seed"]) == ("completed", {"type": "completed"}, 7)
        (said,) = done["output"]
        assert (said["status"], said["content"]) == ("completed", [{"type": "output_audio", "transcript": TEXT}])
        assert talk.events[2]["previous_item_id"] == item
        ids = {event["response_id"] for event in talk.events[1:-1] if "response_id" in event}
        assert ids == {done["id"]} == {talk.events[0]["response"]["id"]}
        # The next one is a response of its own.
        talk.write("Is it late?", "assistant")
        assert talk.respond()["id"] != done["id"]
        assert talk.sound == whole(server, "Is it late?", **PCM)


def test_openais_asynchronous_client(server: Server) -> None:
    async def converse() -> tuple[list[str], bytes]:
        kinds, sound = [], b""
        async with (
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused") as client,
            client.realtime.connect(model="tiny", extra_query={"seed": 7}) as connection,
        ):
            await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "bob"}}})
            content: Any = [{"type": "input_text", "text": TEXT}]
            await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
            await connection.response.create()
            async for event in connection:
                kinds.append(event.type)
                if event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                elif event.type == "response.done":
                    return kinds, sound
        raise AssertionError

    kinds, sound = asyncio.run(converse())
    greeting = ["session.created", "session.updated", "conversation.item.added", "conversation.item.done"]
    assert kinds[:8] == greeting + OPENING
    assert sound == whole(server, TEXT, voice="bob", **PCM)


def test_words_come_before_the_sound_in_which_they_begin(server: Server) -> None:
    with talking(server) as talk:
        talk.write(LONG)
        talk.respond()
        times = server.speak(stream_format="json", timestamps=["word"], input=LONG, **PCM).json()["words"]
        starts, heard = [word["start"] for word in times], 0
        assert "".join(talk.words) == LONG
        told = 0
        for event in talk.events:
            if event["type"] == "response.output_audio_transcript.delta":
                told += 1
            elif event["type"] == "response.output_audio.delta":
                heard += len(base64.b64decode(event["delta"])) // 2
                assert told == sum(start < heard for start in starts)


@pytest.mark.parametrize(("kind", "form"), [("audio/pcmu", "ulaw_8000"), ("audio/pcma", "alaw_8000")])
def test_telephones(server: Server, kind: str, form: str) -> None:
    with talking(server) as talk:
        talk.say("session.update", session={"audio": {"output": {"format": {"type": kind}}}})
        assert talk.until("session.updated")["session"]["audio"]["output"]["format"] == {"type": kind}
        talk.write(TEXT)
        talk.respond()
        assert talk.sound == whole(server, TEXT, response_format=form, sample_rate=None)
        assert "".join(talk.words) == TEXT


def test_how_sessions_and_responses_speak(server: Server) -> None:
    with talking(server) as talk:
        output = {"voice": {"ann": 2, "bob": 1}, "speed": 2.0}
        talk.say("session.update", session={"type": "realtime", "audio": {"output": output}, "instructions": "slow"})
        session = talk.until("session.updated")["session"]
        shown = {"voice": "ann(2)+bob(1)", "format": {"type": "audio/pcm", "rate": 24000}, "speed": 2.0}
        assert (session["audio"], session["instructions"]) == ({"output": shown}, "slow")
        expected = {"voice": "ann(2)+bob(1)", "speed": 2.0, "instructions": "slow"} | PCM
        spoken = {"input": [message(TEXT)], "conversation": "none"}
        other = {"audio": {"output": {"voice": "bob", "format": {"type": "audio/pcmu"}}}, "instructions": "whisper"}
        assert talk.respond(**spoken, **other)["audio"]["output"]["voice"] == "bob"
        form = {"response_format": "ulaw_8000", "sample_rate": None}
        assert talk.sound == whole(server, TEXT, **expected | form | {"voice": "bob", "instructions": "whisper"})
        talk.respond(**spoken)  # whose own the changes were
        assert talk.sound == whole(server, TEXT, **expected)


def test_a_response_out_of_band(server: Server) -> None:
    """It reads what comes with it, and the conversation is as it was before."""
    with talking(server) as talk:
        talk.write("It was late.")
        last = talk.write("Nobody reads what a system says.", "system")
        given = [message("One."), message("Not this.", "system"), message("Two.", "assistant")]
        done = talk.respond(conversation="none", input=given, metadata={"topic": "numbers"})
        assert (done["conversation_id"], done["metadata"]) == (None, {"topic": "numbers"})
        assert not any(event["type"].startswith("conversation.") for event in talk.events)
        assert talk.sound == whole(server, "One.\nTwo.", **PCM)
        done = talk.respond(conversation="none")
        assert talk.sound == whole(server, "It was late.", **PCM)
        assert talk.respond()["conversation_id"].startswith("conv_")
        assert talk.sound == whole(server, "It was late.", **PCM)
        assert talk.events[2]["previous_item_id"] == last
        talk.say("response.create")
        assert talk.refused()["param"] == "response.input"


def test_drawn_seeds_are_told(server: Server) -> None:
    url, seeds = f"ws://127.0.0.1:{server.port}/v1/realtime?model=tiny", []
    with connect(url, proxy=None, compression=None) as connection:
        talk = Talk(connection)
        for _ in range(2):
            seeds.append(talk.respond(input=[message(TEXT)])["seed"])
            assert talk.sound == whole(server, TEXT, seed=seeds[-1], **PCM)
    assert seeds[0] != seeds[1]


def test_one_response_at_a_time_until_it_is_cancelled(server: Server) -> None:
    with talking(server) as talk:
        talk.say("response.cancel", event_id="early")
        refused = talk.refused()
        assert (refused["code"], refused["event_id"]) == ("response_cancel_not_active", "early")
        talk.events.clear()
        talk.write(LONG * 4)
        talk.say("response.create")
        response = talk.until("response.created")["response"]["id"]
        talk.until("response.output_audio.delta")
        talk.say("response.create", event_id="second")
        talk.say("response.cancel", event_id="third", response_id="resp_of_another")
        talk.say("response.cancel", response_id=response)
        talk.say("response.create", response={"input": [message(TEXT)]})
        while len(found := [event["error"] for event in talk.events if event["type"] == "error"]) < 2:
            talk.hear()
        codes = [(error["code"], error["event_id"], error["type"]) for error in found]
        assert codes == [
            ("conversation_already_has_active_response", "second", "invalid_request_error"),
            ("response_cancel_not_active", "third", "invalid_request_error"),
        ]
        done = talk.until("response.done")["response"]
        assert [event["type"] for event in talk.events[-6:]] == ENDING
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert done["output"][0]["status"] == "incomplete"
        assert done["output"][0]["content"][0]["transcript"] == "".join(talk.words)
        assert 0 < len(talk.sound) < len(expected := whole(server, LONG * 4, **PCM))
        assert expected.startswith(talk.sound)
        assert done["usage"]["output_tokens"] < len(expected) // 2
        talk.events.clear()
        assert talk.until("response.done")["response"]["status"] == "completed"
        assert talk.sound == whole(server, TEXT, **PCM)


def test_a_response_can_be_cancelled_before_it_sounds(server: Server) -> None:
    with talking(server) as talk:
        for _ in range(5):
            talk.say("response.create", response={"input": [message(LONG)]})
            talk.say("response.cancel")
            assert talk.until("response.done")["response"]["status"] == "cancelled"
        talk.respond(input=[message(TEXT)])
        assert talk.sound == whole(server, TEXT, **PCM)


def test_items_have_places(server: Server) -> None:
    with talking(server) as talk:
        second = talk.write("Two.")
        talk.say("conversation.item.create", item=message("One.") | {"id": "first"}, previous_item_id="root")
        assert talk.until("conversation.item.added")["previous_item_id"] is None
        talk.until("conversation.item.done")
        third = talk.write("Three.", previous_item_id=second)
        assert talk.events[-1]["previous_item_id"] == second
        between = talk.write("Between.", previous_item_id=second)
        for item in (third, between):  # what is left: One. Two.
            talk.say("conversation.item.delete", item_id=item)
            assert talk.until("conversation.item.deleted")["item_id"] == item
        for text in ("Two.", "One."):  # the last first
            talk.respond()
            assert talk.sound == whole(server, text, **PCM)
        talk.say("conversation.item.delete", item_id=third)
        assert talk.refused().items() >= {"param": "item_id", "code": "item_not_found"}.items()
        talk.say("conversation.item.create", item=message("One."), previous_item_id=third)
        assert talk.refused().items() >= {"param": "previous_item_id", "code": "item_not_found"}.items()
        talk.say("conversation.item.create", item=message("One.") | {"id": "first"})
        assert talk.refused().items() >= {"param": "item.id", "code": "conflict"}.items()


def test_a_conversation_forgets_its_oldest_items(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "MAX_ITEMS", 2)
    monkeypatch.setattr(realtime, "MAX_CHARACTERS", 12)
    with talking(server) as talk:
        first, *_ = [talk.write(text) for text in ("One.", "Two.", "Three.")]
        talk.say("conversation.item.delete", item_id=first)
        assert talk.refused()["code"] == "item_not_found"
        talk.write("Four, five.")  # more than there is room for beside another
        talk.respond()
        assert talk.sound == whole(server, "Four, five.", **PCM)
        for text in ("Six.", "The birch canoe slid on."):  # both at the beginning; the second is too long by itself
            talk.write("")
            talk.write(text, previous_item_id="root")
            talk.respond()
            assert talk.sound == whole(server, text, **PCM)
        talk.say("response.create")
        assert talk.refused()["param"] == "response.input"


def test_models(server: Server) -> None:
    with talking(server, "gpt-realtime-2.1-mini") as talk:
        assert talk.events[0]["session"]["model"] == "broken"  # the first that speaks
        talk.say("session.update", session={"type": "realtime", "model": "gpt-realtime-2.1-mini"})
        talk.until("session.updated")
        talk.respond(input=[message("No!")])
        assert talk.sound == whole(server, "No!", model="broken", **PCM)
    assert server.speak(model="gpt-realtime").json()["error"]["code"] == "model_not_found"


def test_an_alias_of_the_deployment_is_that_model(serve: Serve) -> None:
    with serve(model_aliases="gpt-realtime=tiny") as server, talking(server, "gpt-realtime") as talk:
        assert talk.events[0]["session"]["model"] == "tiny"


# What is refused


def test_wrong_events_are_named_and_the_session_goes_on(server: Server) -> None:
    with talking(server) as talk:
        for number, (sent, told) in enumerate(rows("realtime")):
            fields = json.loads(sent) | {"event_id": f"client_{number}"}
            talk.connection.send(json.dumps(fields))
            refused = talk.refused()
            assert [refused["param"] or "-", refused["code"]] == told.split(), sent
            assert refused["event_id"] == fields["event_id"]
            assert refused["message"].startswith("" if refused["param"] is None else f"{refused['param']}: ")
            talk.say("session.update", session={})  # too many errors in a row would end the connection
            assert talk.hear()["type"] == "session.updated"
        for wrong in ("{", b"\x00\x01"):  # of which there is no id
            talk.connection.send(wrong)
            assert talk.refused()["event_id"] is None
        talk.respond(input=[message(TEXT)])
        assert talk.sound == whole(server, TEXT, **PCM)


@at_the_door("realtime url")
def test_a_wrong_url(server: Server, sent: str, told: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://127.0.0.1:{server.port}/v1/realtime?{sent}", proxy=None),
    ):
        pass
    response = refused.value.response
    assert [str(response.status_code), json.loads(response.body or b"")["error"]["param"]] == told.split()


def test_a_response_that_fails(server: Server) -> None:
    with talking(server, "broken") as talk:
        done = talk.respond(input=[message("A vision.")])
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"] == "internal_error"
        talk.respond(input=[message("No!")])
        assert talk.sound == whole(server, "No!", model="broken", **PCM)


def test_a_limit_refuses_a_response(keyed: Server, keys: dict[str, str]) -> None:
    with talking(keyed, key=keys["realtime-limited"]) as talk:
        talk.write(TEXT)
        talk.write(TEXT)
        assert talk.respond()["status"] == "completed"
        talk.say("response.create", event_id="second")
        refused = talk.refused()
        assert (refused["code"], refused["type"], refused["event_id"]) == ("rate_limited", "rate_limit_error", "second")


def test_keys(keyed: Server, keys: dict[str, str]) -> None:
    url, key = f"ws://127.0.0.1:{keyed.port}/v1/realtime?model=tiny", keys["realtime"]
    with talking(keyed, key=key) as talk:
        assert talk.respond(input=[message(TEXT)])["status"] == "completed"
    names = [Subprotocol(name) for name in ("realtime", f"openai-insecure-api-key.{key}", "openai-beta.realtime-v1")]
    with connect(url, proxy=None, subprotocols=names) as browser:
        assert browser.subprotocol == "realtime"
        assert json.loads(browser.recv(timeout=SECONDS))["type"] == "session.created"
    wrong = [Subprotocol("realtime"), Subprotocol("openai-insecure-api-key.wrong")]
    for options in ({}, {"subprotocols": wrong}, {"additional_headers": {"authorization": "Bearer wrong"}}):
        with pytest.raises(InvalidStatus) as refused, connect(url, proxy=None, **options):
            pass
        assert refused.value.response.status_code == 401


def test_a_response_is_sent_to_its_end_when_the_server_stops(serve: Serve) -> None:
    with serve(shutdown_seconds=30) as server:
        url = f"ws://127.0.0.1:{server.port}/v1/realtime?model=tiny&seed=7"
        with connect(url, proxy=None, compression=None, sock=small_window(server)) as connection:
            items = [message(LONG)]
            response = {"input": items, "audio": {"output": {"speed": 0.25}}}
            connection.send(json.dumps({"type": "response.create", "response": response}))
            kinds: list[str] = []
            with suppress(ConnectionClosed):
                while True:
                    kinds.append(json.loads(connection.recv(timeout=SECONDS))["type"])
                    if kinds[-1] == "response.output_audio.delta" and kinds.count(kinds[-1]) == 1:
                        server.terminate()
            assert kinds[-1] == "response.done"
            assert connection.protocol.close_code == 1012
        assert server.wait() == 0


def test_the_default_voice_is_the_first_of_the_model(catalog: Catalog) -> None:
    for model, first in ((None, "broken"), ("tiny", "tiny"), ("gpt-realtime", "broken")):
        config = schemas.RealtimeQuery(model=model).config(catalog)
        found, voice = catalog.model_and_voice(config.model, config.voice_id)
        assert (found.entry.id, voice.id) == (first, found.entry.voices[0].id)


def test_where_no_model_speaks(zoo: Path, tmp_path: Path) -> None:
    (tmp_path / "binary").symlink_to(zoo / "binary")
    with pytest.raises(InvalidRequest, match="no model is made for speech"):
        schemas.RealtimeQuery().config(load_catalog(CatalogConfig((tmp_path,))))

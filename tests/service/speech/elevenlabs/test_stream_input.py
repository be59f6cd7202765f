"""`WS /v1/text-to-speech/{voice_id}/stream-input`, as ElevenLabs' clients speak it."""

from __future__ import annotations

import base64
import io
from contextlib import suppress

import av
import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ancestral.catalog.seeds import part_seed
from tests.service.servers import Serve, Server
from tests.service.speech.elevenlabs.support import FIRST, PCM, Spoken, error, hear, open_stream, rest, say, spoken
from tests.service.ws_client import LONG, eventually, whole

DEFAULT = "broken"
"""The first model that speaks."""


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_pcm(server: Server, rate: int) -> None:
    with open_stream(server, f"model_id=tiny&output_format=pcm_{rate}&seed=7") as connection:
        say(connection, FIRST, {"text": LONG}, {"text": ""})
        sound = rest(connection)
    assert sound == whole(server, LONG, sample_rate=rate)


def test_mp3_is_the_default(server: Server) -> None:
    with open_stream(server, "seed=7") as connection:
        say(connection, FIRST, {"text": LONG}, {"text": ""})
        sound = rest(connection)
    assert sound == frames(whole(server, LONG, model=DEFAULT, response_format="mp3", sample_rate=44100))
    assert soundfile.read(io.BytesIO(sound))[1] == 44100


def test_utterances_are_one_mp3(server: Server) -> None:
    """A tag between two of them would be damage to decoders that read a stream, such as LiveKit's."""
    with open_stream(server, "model_id=tiny&output_format=mp3_44100_128&seed=7") as connection:
        say(
            connection, FIRST, {"text": "The birch canoe slid. ", "flush": True}, {"text": "Is it late?", "flush": True}
        )
        say(connection, {"text": ""})
        heard = spoken(connection)
    assert len(heard.alignments) == 2
    assert b"ID3" not in heard.sound
    with av.open(io.BytesIO(heard.sound), format="mp3", options={"probesize": "32"}) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    parts = [whole(server, "The birch canoe slid. "), whole(server, "Is it late?", seed=part_seed(7, 1))]
    assert samples >= sum(map(len, parts)) // 2 * 44100 / 16000


def test_other_formats(server: Server) -> None:
    form, fields = "mp3_22050_32", {"response_format": "mp3", "sample_rate": 22050}
    assert spoken_as(server, form) == frames(whole(server, LONG, **fields))
    assert spoken_as(server, "ulaw_8000") == whole(server, LONG, response_format="ulaw_8000", sample_rate=8000)
    heard = io.BytesIO(spoken_as(server, "opus_48000_64"))
    expected = io.BytesIO(whole(server, LONG, response_format="opus", sample_rate=48000))
    assert np.array_equal(soundfile.read(heard)[0], soundfile.read(expected)[0])


def spoken_as(server: Server, form: str) -> bytes:
    """A text in a format."""
    with open_stream(server, f"model_id=tiny&output_format={form}&seed=7") as connection:
        say(connection, FIRST, {"text": LONG}, {"text": ""})
        return rest(connection)


def frames(mp3: bytes) -> bytes:
    """Without the tag before them."""
    size = 0
    for byte in mp3[6:10]:
        size = size << 7 | byte
    assert mp3.startswith(b"ID3")
    return mp3[10 + size :]


def test_words_become_sentences(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, *({"text": f"{word} ", "try_trigger_generation": True} for word in LONG.split()))
        say(connection, {"text": ""})
        assert rest(connection) == whole(server, LONG)


def test_a_sentence_sounds_before_the_next_is_there(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, {"text": "The birch canoe slid. "})
        expected, sound = whole(server, "The birch canoe slid. "), b""
        while len(sound) < len(expected):
            sound += base64.b64decode(hear(connection)["audio"])
        assert sound == expected
        say(connection, {"text": ""})
        assert rest(connection) == b""


def test_flush_waits_for_no_end(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, {"text": "The birch canoe", "flush": True})
        expected, sound = whole(server, "The birch canoe"), b""
        while len(sound) < len(expected):
            sound += base64.b64decode(hear(connection)["audio"])
        assert sound == expected
        say(connection, {"text": " slid."}, {"text": ""})
        assert rest(connection)


def test_auto_mode_speaks_every_message(server: Server) -> None:
    with open_stream(server, f"{PCM}&auto_mode=true") as connection:
        say(connection, FIRST, {"text": "The birch canoe"})
        assert hear(connection)["audio"]
        say(connection, {"text": ""})
        rest(connection)


def test_speed_is_honoured(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, {"text": " ", "voice_settings": {"speed": 0.5}}, {"text": LONG}, {"text": ""})
        assert rest(connection) == whole(server, LONG, speed=0.5)


def test_the_voice_finds_its_model(server: Server) -> None:
    with open_stream(server, "output_format=pcm_16000&seed=7", voice="bob") as connection:
        say(connection, FIRST, {"text": "Hello."}, {"text": ""})
        sound = rest(connection)
    assert sound == whole(server, "Hello.", voice="bob", model=DEFAULT)


def test_a_seed_is_drawn(server: Server) -> None:
    sounds = []
    for _ in range(2):
        with open_stream(server, "output_format=pcm_16000") as connection:
            say(connection, FIRST, {"text": "Hello."}, {"text": ""})
            sounds.append(rest(connection))
    assert sounds[0] != sounds[1]


def test_nothing_to_say(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, {"text": ""})
        assert rest(connection) == b""


def test_what_their_clients_send_by_default(server: Server) -> None:
    query = (
        f"{PCM}&inactivity_timeout=60&enable_logging=true&enable_ssml_parsing=false&apply_text_normalization=auto"
        "&optimize_streaming_latency=3&sync_alignment=false&apply_language_text_normalization=false&auto_mode=false&language_code=en"
    )
    settings = {"stability": 0.5, "similarity_boost": 0.8, "style": 0.0, "use_speaker_boost": True, "speed": 1.0}
    first = {
        "text": " ",
        "voice_settings": settings,
        "generation_config": {"chunk_length_schedule": [120, 160, 250, 290]},
        "try_trigger_generation": True,
    }
    with open_stream(server, query) as connection:
        say(connection, first, {"text": "Hello. ", "flush": False}, {"text": ""})
        assert rest(connection) == whole(server, "Hello. ")


@pytest.mark.parametrize(
    ("query", "named", "code"),
    [
        ("output_format=ulaw_16000", "output_format", "literal_error"),
        ("model_id=eleven_turbo_v2_5", "model", "model_not_found"),
        ("model_id=free", "model", "model_not_capable"),
        ("seed=1&seed=2", "seed", "invalid_value"),
        ("single_use_token=a", "single_use_token", "unknown_parameter"),
    ],
)
def test_a_wrong_query_is_named(server: Server, query: str, named: str, code: str) -> None:
    with open_stream(server, query) as connection:
        with suppress(ConnectionClosed):  # it may be over before
            say(connection, FIRST)
        told = error(connection)
    assert told["error"] == code
    assert told["message"].startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("no", "The message is not JSON"),
        ("[]", "A message is"),
        ("{}", "text"),
        ('{"text": null}', "text"),
        ('{"text": "a", "voice": "bob"}', "voice"),
        ('{"text": "a", "voice_settings": {"stability": 2}}', "voice_settings.stability"),
        ('{"text": "a", "voice_settings": {"speed": 5}}', "voice_settings.speed"),
        ('{"text": "a", "voice_settings": {"pitch": 1}}', "voice_settings.pitch"),
        ('{"text": "a", "generation_config": {"chunk_length_schedule": [1]}}', "generation_config"),
        ('{"text": "a", "pronunciation_dictionary_locators": []}', "pronunciation_dictionary_locators"),
    ],
)
def test_a_wrong_first_message_is_named(server: Server, message: str, named: str) -> None:
    with open_stream(server) as connection:
        connection.send(message)
        assert error(connection)["message"].startswith(named)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"text": "a", "voice_settings": {"speed": 1}}, "unknown_parameter"),
        ({"text": "слово. ", "flush": True}, "unsupported_text"),
        ({"text": "Hello\0world. ", "flush": True}, "unsupported_text"),
        ({"text": 'Wait <break time="1s"/> now. ', "flush": True}, "unsupported_text"),
        ({"text": "x" * 4097}, "string_too_long"),
    ],
)
def test_a_wrong_message_ends_it(server: Server, message: dict[str, object], code: str) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, message)
        assert error(connection)["error"] == code


def test_text_after_the_end_is_refused(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, {"text": LONG}, {"text": ""}, {"text": "More."})
        assert error(connection)["error"] == "wrong_order"


def test_an_unknown_voice(server: Server) -> None:
    for query in ("", "model_id=tiny"):
        with open_stream(server, query, voice="nobody") as connection:
            say(connection, FIRST)
            told = error(connection)
        assert told["error"] == "voice_not_found"
        assert "ann" in told["message"]


@pytest.mark.parametrize("first", [True, False])
def test_inactivity_ends_it(server: Server, first: bool) -> None:
    with open_stream(server, f"{PCM}&inactivity_timeout=1") as connection:
        if first:
            say(connection, FIRST)
        assert error(connection)["error"] == "input_timeout_exceeded"


def test_a_job_that_fails_ends_it(server: Server) -> None:
    with open_stream(server, "model_id=broken") as connection:
        say(connection, FIRST, {"text": "A vision. "}, {"text": ""})
        assert error(connection)["error"] == "internal_error"


def test_overload_ends_it(serve: Serve) -> None:
    with serve(interactive_slots=1, max_queued_streams=0) as own, open_stream(own) as first, open_stream(own) as second:
        say(first, {"text": " ", "voice_settings": {"speed": 0.25}}, {"text": LONG * 8, "flush": True})
        hear(first)
        say(second, FIRST, {"text": "Hello.", "flush": True})
        assert error(second)["error"] == "overloaded"
        first.close()
        assert eventually(lambda: own.speak().status_code == 200)


def test_a_key_is_taken_from_header_or_first_message(keyed: Server, keys: dict[str, str]) -> None:
    key = keys["elevenlabs"]
    header, field = {"xi-api-key": key}, {"xi_api_key": key}
    for headers, first in ((header, {}), ({}, field), (header, field)):
        with open_stream(keyed, additional_headers=headers) as connection:
            say(connection, FIRST | first, {"text": "Hello."}, {"text": ""})
            assert rest(connection)
    with pytest.raises(InvalidStatus) as refused, open_stream(keyed, additional_headers={"xi-api-key": "wrong"}):
        pass
    assert refused.value.response.status_code == 401
    for unknown in ({}, {"xi_api_key": "wrong"}):
        with open_stream(keyed) as connection:
            say(connection, FIRST | unknown)
            assert error(connection)["error"] == "invalid_api_key"


TEXT = "Dr. Ann has 2 canoes. Is it late? No!"


@pytest.mark.parametrize("sync", [False, True])
def test_characters_have_times(server: Server, sync: bool) -> None:
    query = f"{PCM}&sync_alignment={str(sync).lower()}"
    with open_stream(server, query) as connection:
        say(connection, FIRST, {"text": TEXT}, {"text": ""})
        found = spoken(connection)
    assert found.sound == whole(server, " " + TEXT)
    assert found.text("alignment").strip() == TEXT
    assert found.text("normalizedAlignment") == "doctor ann has two canoes. is it late? no! "
    for name in ("alignment", "normalizedAlignment"):
        ends = check_times(found, name, sync=sync)
        assert ends == pytest.approx(1000 * len(found.sound) / 32000, abs=len(found.alignments))


def check_times(found: Spoken, name: str, *, sync: bool) -> int:
    """The end of the last character, in milliseconds from the start of the sound."""
    offset = 0
    for alignment in (message[name] for message in found.alignments):
        starts, durations = alignment["charStartTimesMs"], alignment["charDurationsMs"]
        assert len(alignment["chars"]) == len(starts) == len(durations)
        assert starts[0] >= (offset if sync else 0)
        assert all(
            before + length <= after for before, length, after in zip(starts, durations, starts[1:], strict=False)
        )
        end = starts[-1] + durations[-1]
        offset = end if sync else offset + end
    return offset


def test_chunk_length_schedule_says_when_a_sentence_begins(server: Server) -> None:
    text = "When the ships came in from the north, the old "
    for schedule, begins in (([30.0], True), ([100], False)):
        with open_stream(server) as connection:
            say(connection, FIRST | {"generation_config": {"chunk_length_schedule": schedule}}, {"text": text})
            if begins:
                assert hear(connection)["audio"]
            else:
                with pytest.raises(TimeoutError):
                    connection.recv(timeout=1)


def test_a_sentence_is_spoken_when_nothing_comes_after_it(server: Server) -> None:
    with open_stream(server) as connection:
        say(connection, FIRST, {"text": "The birch canoe slid."})
        assert hear(connection)["audio"]

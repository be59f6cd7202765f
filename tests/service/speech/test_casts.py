"""Several voices in one text: who says what, over HTTP, a websocket, the command line, and in captions."""

from __future__ import annotations

import re

import httpx
import pytest

from ancestral.catalog.seeds import part_seed
from tests.service.api.job_requests import made, verify
from tests.service.servers import Server
from tests.service.ws_client import resumed, speak, talking, whole

VOICES = {"ANNA": "ann", "OLD BEN": "bob", "CARA": "ann(1)+bob(2)"}
LINES = ("It is late.", "No!", "Is the canoe here?", "Dr. Smith slid on the planks.", "He paid $3.50 for it.")
TURNS = [(list(VOICES)[number * 2 % 3], f"{LINES[number % 5]}") for number in range(40)]
SCRIPT = "".join(f"{name}: {line}\n" for name, line in TURNS)
MARKED = "".join(f"[voice:{VOICES[name]}]{line} " for name, line in TURNS)


def alone() -> list[tuple[str, str]]:
    """Voice and text of every turn."""
    return [(VOICES[name], line) for name, line in TURNS]


@pytest.fixture(scope="module")
def turns(server: Server) -> list[bytes]:
    """Every turn, spoken by its voice as a text of its own, with the seed of its sentence."""
    return [whole(server, line, voice=voice, seed=part_seed(7, i)) for i, (voice, line) in enumerate(alone())]


def test_every_turn_of_a_script_is_what_its_voice_says_alone(server: Server, turns: list[bytes]) -> None:
    assert len(set(turns)) == 40  # by seed and by voice
    assert turns[0] != whole(server, TURNS[0][1], voice="bob", seed=7)
    assert whole(server, SCRIPT, voices=VOICES) == b"".join(turns)


def test_directives_and_ssml_say_the_same(server: Server, turns: list[bytes]) -> None:
    assert whole(server, MARKED) == b"".join(turns)
    inner = "".join(f'<voice name="{name}">{line}</voice>' for name, line in TURNS[1:])
    document = f"<speak>{TURNS[0][1]} <s>{inner}</s></speak>"
    assert whole(server, document, input_format="ssml", voices=VOICES) == b"".join(turns)


def test_a_nested_voice_goes_back_to_the_one_around_it(server: Server) -> None:
    document = '<speak>No! <voice name="bob">No! <voice name="CARA">No!</voice> No! </voice>No!</speak>'
    voices = ["ann", "bob", VOICES["CARA"], "bob", "ann"]
    expected = [whole(server, "No!", voice=voice, seed=part_seed(7, i)) for i, voice in enumerate(voices)]
    assert whole(server, document, input_format="ssml", voices=VOICES) == b"".join(expected)


@pytest.mark.parametrize("size", [5, 61, 4000])
def test_a_session_says_a_script_in_pieces(server: Server, turns: list[bytes], size: int) -> None:
    with talking(server) as talk:
        pieces = (SCRIPT[start : start + size] for start in range(0, len(SCRIPT), size))
        speak(talk, *pieces, voices=VOICES, timestamps=["word"])
    assert talk.sound == b"".join(turns)
    words = [(word["speaker"], word["word"]) for heard in talk.heard.values() for word in heard.start["words"]]
    assert [name for name, word in words if word in ("late", "no", "here", "planks", "it")] == [
        name for name, line in TURNS for word in re.findall(r"\b(?:late|No|here|planks|It|it)\b", line)
    ]
    assert len(talk.heard) > 1 or size == 4000


def test_a_session_resumes_within_a_script(server: Server, turns: list[bytes]) -> None:
    with talking(server) as talk:
        talk.configure(voices=VOICES)
        talk.say("input.text", text=SCRIPT[:700])
        talk.until_bytes(60_000)
        talk.say("input.text", text=SCRIPT[700:])
        talk.say("input.done")
        # Sound of the second message: a connection that is reset loses what the server has not read yet.
        talk.until_bytes(sum(map(len, turns[: SCRIPT[:700].count("\n") + 1])) + 10_000)
        talk.vanish()
    sample = len(talk.sound) // 2 - 3000
    rest = resumed(server, talk, sample)
    assert talk.sound[: 2 * sample] + rest.sound == b"".join(turns)


def test_a_voice_stays_until_the_next_one_or_the_end_of_the_input(server: Server) -> None:
    with talking(server) as talk:
        speak(talk, "No! [voice:bob] No! ", "Is it late? ", "Late. ANNA: No! ", voices={"ANNA": "ann"})
        talk.say("input.text", text="No! ")
        talk.say("input.done")
        talk.until("session.done")
    said = [
        ("ann", "No!"),
        ("bob", "No!"),
        ("bob", "Is it late?"),
        ("bob", "Late."),
        ("bob", "ANNA: No!"),
        ("ann", "No!"),
    ]
    expected = [whole(server, text, voice=voice, seed=part_seed(7, i)) for i, (voice, text) in enumerate(said)]
    assert talk.sound == b"".join(expected)


def test_times_and_captions_name_the_speaker(server: Server) -> None:
    text = "No!\nANNA: It is late.\nNo!\nOLD BEN: <5 km."
    url = f"{server.url}/v1/jobs/{server.speak(input=text, voices=VOICES).headers['x-job-id']}"
    told = httpx.get(f"{url}/timestamps").json()
    assert [(word["speaker"], told["text"][word["text_start"] : word["text_end"]]) for word in told["words"]] == [
        ("ann", "No"), ("ANNA", "It"), ("ANNA", "is"), ("ANNA", "late"), ("ANNA", "No"), ("OLD BEN", "<"),
        ("OLD BEN", "<"), ("OLD BEN", "5 km"), ("OLD BEN", "5 km"),
    ]  # fmt: skip
    cues = re.findall(r"-->.*\n(.*)\n", httpx.get(f"{url}/captions").text)
    assert cues == ["<v ann>No!", "<v ANNA>It is late.", "<v ANNA>No!", "<v OLD BEN>&lt;5 km."]
    lines = re.findall(r"-->.*\n(.*)\n", httpx.get(f"{url}/captions", params={"format": "srt"}).text)
    assert lines == ["ann: No!", "ANNA: It is late.", "ANNA: No!", "OLD BEN: <5 km."]


def test_a_manifest_of_several_voices_makes_the_same_bytes(server: Server) -> None:
    manifest = made(server, input="No!\nCARA: Is it late?\n[voice:bob] No!", voices=VOICES)
    assert manifest["request"]["voices"] == VOICES
    assert verify(server, manifest).json()["equal"] is True
    other = manifest | {"request": manifest["request"] | {"voices": VOICES | {"CARA": "ann"}}}
    assert verify(server, other).json()["equal"] is False


def test_one_voice_is_not_named_in_times(server: Server) -> None:
    told = server.speak(input="[voice:ann] No!", stream_format="json", timestamps=["word"]).json()
    assert set(told["words"][0]) == {"word", "start", "end"}


SSML = {"input_format": "ssml"}


@pytest.mark.parametrize(
    ("fields", "param", "code", "told"),
    [
        ({"input": "No! [voice:zoe] No!"}, "input", "voice_not_found", "'[voice:zoe]' (a voice, at position 4): "),
        ({"input": "No! [voice:] No!"}, "input", "voice_not_found", "at position 4"),
        ({"input": "No! [voice:ann"}, "input", "unsupported_text", "is incomplete"),
        ({"voice": "ANNA", "voices": {"ANNA": "ann"}}, "voice", "voice_not_found", "tiny has no such voice"),
        ({"voices": {"ANNA": "zoe"}}, "voices", "voice_not_found", "voices: ANNA: tiny has no such voice"),
        ({"voices": {"A:B": "ann"}}, "voices", "invalid_value", "none of them a colon"),
        ({"voices": {"ANNA": "ann(0)"}}, "voices", "invalid_value", "positive number"),
        (
            {"input": '<speak>\n<voice name="zoe">No!</voice></speak>', **SSML}, "input", "voice_not_found",
            "<voice name>: 'zoe' (line 2, column 1): tiny has no such voice; it has ann, bob",
        ),
        ({"input": '<speak><voice gender="x">No!</voice></speak>', **SSML}, "input", "unsupported_text", "gender"),
        ({"input": "<speak>[voice:ann] No!</speak>", **SSML}, "input", "unsupported_text", "<voice name>"),
    ],
)  # fmt: skip
def test_what_names_no_voice_is_refused(
    server: Server, fields: dict[str, object], param: str, code: str, told: str
) -> None:
    response = server.speak(**fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (400, param, code), error
    assert told in error["message"]


def test_a_session_refuses_an_unknown_voice_at_once_or_with_its_utterance(server: Server) -> None:
    with talking(server) as talk:
        talk.configure(voices={"ANNA": "zoe"})
        assert talk.error()["param"] == "voices"
        talk.configure()
        talk.say("input.text", text="[voice:zoe] No! ")
        talk.say("input.text", text="[voice:bob] No!")
        talk.say("input.done")
        error = talk.error()
        assert (error["param"], error["code"]) == ("text", "voice_not_found")
        talk.until("session.done")
    assert talk.sound == whole(server, "No!", voice="bob")

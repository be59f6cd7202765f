"""How a text is read, and by whom: phonemes, pauses, lexicons, SSML, mixed voices, casts; the same at every door."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ancestral.catalog.lexicon import read_lexicon
from ancestral.catalog.seeds import part_seed
from ancestral.models.entries import ModelError
from tests.service.api.job_requests import made, verify
from tests.service.servers import Server
from tests.service.speech.elevenlabs.support import FIRST, PCM, Listener, open_stream, rest, say
from tests.service.ws_client import begun, resumed, spoken, whole

NGINX = {"Nginx": "EH1 N JH IH0 N EH1 K S"}
SSML = {"input_format": "ssml"}


def test_the_same_words_sound_the_same_however_they_are_written(server: Server) -> None:
    given = whole(server, "Use [[EH1 N JH IH0 N EH1 K S]] now.")
    ssml = '<speak>Use <phoneme alphabet="x-arpabet" ph="EH1 N JH IH0 N EH1 K S">Nginx</phoneme> now.</speak>'
    assert whole(server, "Use Nginx now.", pronunciations=NGINX) == whole(server, ssml, **SSML) == given
    assert whole(server, "Use Nginx now.") != given


def test_a_pause_adds_its_exact_frames_to_a_comma_and_words_keep_their_order(server: Server) -> None:
    body = {"timestamps": ["word"], "stream_format": "json", "response_format": "pcm", "sample_rate": 16000}
    words = server.speak(input="Hello [pause:1.5s] world.", **body).json()["words"]
    assert [word["word"] for word in words] == ["hello", "world"]
    assert words[1]["start"] - words[0]["end"] == 24000
    assert len(whole(server, "[pause:2s]")) == 64000


def test_a_mix_is_exact_and_weights_that_scale_give_the_same_bytes(server: Server) -> None:
    mixed = server.speak(voice="ann(2)+bob(1)")
    assert mixed.headers["x-voice"] == "ann(2)+bob(1)"
    for voice in ("bob(2)+ann(4)", {"ann": 2, "bob": 1}, {"bob": 0.5, "ann": 1}):
        assert server.speak(voice=voice).content == mixed.content
    others = [server.speak(voice=voice).content for voice in ("ann", "bob", "ann(1)+bob(2)")]
    assert len({mixed.content, *others}) == 4
    assert server.speak(voice={"ann": 1}).content == others[0]


def test_a_manifest_says_all_that_was_read(server: Server) -> None:
    lexicon = {"voice": "bob(2)+ann(4)", "input": "Nginx and more.", "pronunciations": NGINX | {"unused": "K"}}
    manifest = made(server, **lexicon)
    assert manifest["request"]["voice"] == "ann(2)+bob(1)"
    assert manifest["request"]["pronunciations"] == NGINX
    assert verify(server, manifest).json()["equal"]
    manifest = made(server, input="No!\nCARA: Is it late?\n[voice:bob] No!", voices=CAST)
    assert manifest["request"]["voices"] == CAST
    assert verify(server, manifest).json()["equal"]
    other = manifest | {"request": manifest["request"] | {"voices": CAST | {"CARA": "ann"}}}
    assert not verify(server, other).json()["equal"]


def test_phonemize_shows_what_is_read(server: Server) -> None:
    def ask(**query: str) -> httpx.Response:
        return httpx.get(f"{server.url}/v1/audio/phonemize", params=query)

    (sentence,) = ask(text="Hi [pause:1s] [[K AE1 T]].").json()["sentences"]
    assert sentence["text"] == "hi, K AE1 T."
    assert sentence["phonemes"] == "sil HH AY1 , K AE1 T ."
    assert [item.get("seconds") for item in sentence["items"]] == [None, 1.0, None, None]
    slow = ask(text="<speak><prosody rate='50%'>Hi</prosody></speak>", **SSML).json()
    assert slow["sentences"][0]["items"][0]["rate"] == 0.5
    refused = ask(text="<!DOCTYPE speak><speak>Hi</speak>", **SSML)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "text")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"ok": "K", "Nginx": "QQ"}', "Nginx"),
        ('{"Nginx": 1}', "Nginx"),
        ('{"Nginx": "K", "Nginx": "K"}', "given twice"),
        ("[", "JSON"),
        ("[]", "object"),
    ],
)
def test_a_wrong_lexicon_of_a_deployment_names_its_entry(tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "lexicon.json"
    file.write_text(content)
    with pytest.raises(ModelError, match="pronunciations: ") as refused:
        read_lexicon(file)
    assert named in str(refused.value)


def test_the_lexicon_of_a_deployment_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.json"
    file.write_text(json.dumps(NGINX))
    assert read_lexicon(file).entries == NGINX
    assert read_lexicon(None).entries == {}


# Every door

MIX = "bob(2)+ann(4)"
DIRECTIVES = "Nginx is [[kˈæt]]. [pause:300ms] Is it late? "
DOCUMENT = (
    "<speak>One <break time='200ms'/> <prosody rate='50%' pitch='+2st'>two</prosody> "
    "<phoneme alphabet='x-arpabet' ph='K AE1 T'>dog</phoneme>.</speak>"
)


def by_session(server: Server, text: str, query: str) -> bytes:
    pieces = (text[start : start + 30] for start in range(0, len(text), 30))
    return spoken(server, *pieces, voice={"bob": 2, "ann": 4}, **SSML if query else {}).sound


def by_stream_input(server: Server, text: str, query: str) -> bytes:
    with open_stream(server, PCM + query, voice=MIX) as connection:
        say(connection, FIRST, {"text": text}, {"text": ""})
        return rest(connection)


def by_contexts(server: Server, text: str, query: str) -> bytes:
    with open_stream(server, PCM + query, voice=MIX, route="multi-stream-input") as connection:
        say(connection, {"text": text, "context_id": "a"}, {"context_id": "a", "close_context": True})
        listener = Listener(connection)
        listener.until("a")
        return listener.sound("a")


@pytest.mark.parametrize("door", [by_session, by_stream_input, by_contexts])
@pytest.mark.parametrize(("text", "config"), [(DIRECTIVES, {}), (DOCUMENT, SSML)])
def test_a_websocket_reads_as_http_does(
    server: Server, door: Callable[[Server, str, str], bytes], text: str, config: dict[str, Any]
) -> None:
    query = "&enable_ssml_parsing=true" if config else ""
    assert door(server, text, query) == whole(server, text, voice=MIX, **config)


def test_the_command_line_reads_as_http_does(
    ancestral: Callable[..., subprocess.CompletedProcess[bytes]], server: Server, tmp_path: Path
) -> None:
    lexicon, output, book = tmp_path / "lexicon.json", tmp_path / "a.wav", tmp_path / "book.txt"
    lexicon.write_text(json.dumps(NGINX))
    line = ("--model", "tiny", "--voice", MIX, "--seed", "7", "-o")
    for text, option, fields in (
        (DIRECTIVES, ("--pronunciations", str(lexicon)), {"pronunciations": NGINX}),
        (DOCUMENT, ("--ssml",), SSML),
    ):
        assert ancestral("say", text, *line, str(output), *option).returncode == 0
        # What comes before has the tags of the command.
        assert server.speak(input=text, voice=MIX, **fields).content.endswith(output.read_bytes()[-20000:])
    book.write_text("Chapter 1\n\nNginx slid [pause:300ms] on.\n")
    files = []
    for options in ((), ("--url", server.url)):
        done = ancestral("read", str(book), *line, str(tmp_path / "b.flac"), "--pronunciations", str(lexicon), *options)
        assert done.returncode == 0, done.stderr
        files.append((tmp_path / "b.flac").read_bytes())
        (tmp_path / "b.flac").unlink()
    assert files[0] == files[1]


# Several voices in one text

CAST = {"ANNA": "ann", "OLD BEN": "bob", "CARA": "ann(1)+bob(2)"}
LINES = ("It is late.", "No!", "Is the canoe here?", "Dr. Smith slid on the planks.", "He paid $3.50 for it.")
TURNS = [(list(CAST)[number * 2 % 3], f"{LINES[number % 5]}") for number in range(40)]
SCRIPT = "".join(f"{name}: {line}\n" for name, line in TURNS)
MARKED = "".join(f"[voice:{CAST[name]}]{line} " for name, line in TURNS)
PLAY = "".join(f'<voice name="{name}">{line}</voice>' for name, line in TURNS[1:])


def said(server: Server, *parts: tuple[str, str]) -> list[bytes]:
    """Each text, spoken by its voice as a text of its own, with the seed of its sentence."""
    return [whole(server, text, voice=voice, seed=part_seed(7, i)) for i, (voice, text) in enumerate(parts)]


@pytest.fixture(scope="module")
def turns(server: Server) -> list[bytes]:
    return said(server, *((CAST[name], line) for name, line in TURNS))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (SCRIPT, {"voices": CAST}),
        (MARKED, {}),
        (f"<speak>{TURNS[0][1]} <s>{PLAY}</s></speak>", {"voices": CAST} | SSML),
    ],
)
def test_every_turn_is_what_its_voice_says_alone(
    server: Server, turns: list[bytes], text: str, fields: dict[str, Any]
) -> None:
    assert len(set(turns)) == 40  # by seed and by voice
    assert whole(server, text, **fields) == b"".join(turns)


def test_a_nested_voice_goes_back_to_the_one_around_it(server: Server) -> None:
    document = '<speak>No! <voice name="bob">No! <voice name="CARA">No!</voice> No! </voice>No!</speak>'
    expected = said(server, *((voice, "No!") for voice in ("ann", "bob", CAST["CARA"], "bob", "ann")))
    assert whole(server, document, **SSML, voices=CAST) == b"".join(expected)


@pytest.mark.parametrize("size", [5, 61])
def test_a_session_says_a_script_in_pieces(server: Server, turns: list[bytes], size: int) -> None:
    pieces = (SCRIPT[start : start + size] for start in range(0, len(SCRIPT), size))
    talk = spoken(server, *pieces, voices=CAST, timestamps=["word"])
    assert talk.sound == b"".join(turns)
    assert len(talk.heard) > 1
    words = [(word["speaker"], word["word"]) for heard in talk.heard.values() for word in heard.start["words"]]
    last = ("late", "no", "here", "planks", "it")
    assert [name for name, word in words if word in last] == [
        name for name, line in TURNS for word in re.findall(r"\b(?:late|No|here|planks|It|it)\b", line)
    ]


def test_a_session_resumes_within_a_script(server: Server, turns: list[bytes]) -> None:
    with begun(server, SCRIPT[:700], voices=CAST) as talk:
        talk.until_bytes(60_000)
        talk.write(SCRIPT[700:])
        talk.say("input.done")
        # Sound of the second message: a connection that is reset loses what the server has not read yet.
        talk.until_bytes(sum(map(len, turns[: SCRIPT[:700].count("\n") + 1])) + 10_000)
        talk.vanish()
    sample = len(talk.sound) // 2 - 3000
    assert talk.sound[: 2 * sample] + resumed(server, talk, sample).sound == b"".join(turns)


def test_a_voice_stays_until_the_next_one_or_the_end_of_the_input(server: Server) -> None:
    with begun(server, "No! [voice:bob] No! ", "Is it late? ", "Late. ANNA: No! ", voices={"ANNA": "ann"}) as talk:
        talk.finish()
        talk.write("No! ")
        talk.finish()
    by_bob = [("bob", text) for text in ("No!", "Is it late?", "Late.", "ANNA: No!")]
    assert talk.sound == b"".join(said(server, ("ann", "No!"), *by_bob, ("ann", "No!")))


def test_times_and_captions_name_the_speaker(server: Server) -> None:
    text = "No!\nANNA: It is late.\nNo!\nOLD BEN: <5 km."
    url = f"{server.url}/v1/jobs/{server.speak(input=text, voices=CAST).headers['x-job-id']}"
    told = httpx.get(f"{url}/timestamps").json()
    assert [(word["speaker"], told["text"][word["text_start"] : word["text_end"]]) for word in told["words"]] == [
        ("ann", "No"), ("ANNA", "It"), ("ANNA", "is"), ("ANNA", "late"), ("ANNA", "No"), ("OLD BEN", "<"),
        ("OLD BEN", "<"), ("OLD BEN", "5 km"), ("OLD BEN", "5 km"),
    ]  # fmt: skip
    for form, expected in (
        ("vtt", ["<v ann>No!", "<v ANNA>It is late.", "<v ANNA>No!", "<v OLD BEN>&lt;5 km."]),
        ("srt", ["ann: No!", "ANNA: It is late.", "ANNA: No!", "OLD BEN: <5 km."]),
    ):
        captions = httpx.get(f"{url}/captions", params={"format": form}).text
        assert re.findall(r"-->.*\n(.*)\n", captions) == expected
    one = server.speak(input="[voice:ann] No!", stream_format="json", timestamps=["word"]).json()
    assert set(one["words"][0]) == {"word", "start", "end"}  # one voice is not named

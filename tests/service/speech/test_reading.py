"""How a text is to be read, over the wire: phonemes, pauses, SSML, lexicons, mixed voices, `/v1/audio/phonemize`."""

from __future__ import annotations

import json
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from ancestral.catalog.lexicon import read_lexicon
from ancestral.models.entries import ModelError
from ancestral.models.text.script import Cast
from ancestral.service.speech.session.messages import SessionConfig
from ancestral.service.speech.session.state import SessionState
from tests.service.servers import Server

NGINX = {"Nginx": "EH1 N JH IH0 N EH1 K S"}
DOCTYPE = '<!DOCTYPE speak [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>'


def length(response: httpx.Response) -> int:
    """Samples of a WAV file."""
    assert response.status_code == 200, response.text
    return len(wave.open(BytesIO(response.content)).readframes(10**9)) // 2


def test_the_same_words_sound_the_same_however_they_are_written(server: Server) -> None:
    given = server.speak(input="Use [[EH1 N JH IH0 N EH1 K S]] now.").content
    assert server.speak(input="Use Nginx now.", pronunciations=NGINX).content == given
    ssml = '<speak>Use <phoneme alphabet="x-arpabet" ph="EH1 N JH IH0 N EH1 K S">Nginx</phoneme> now.</speak>'
    assert server.speak(input=ssml, input_format="ssml").content == given
    assert server.speak(input="Use Nginx now.").content != given


def test_a_pause_adds_its_exact_frames_to_a_comma_and_words_keep_their_order(server: Server) -> None:
    body = {"timestamps": ["word"], "stream_format": "json", "response_format": "pcm", "sample_rate": 16000}
    words = server.speak(input="Hello [pause:1.5s] world.", **body).json()["words"]
    assert [word["word"] for word in words] == ["hello", "world"]
    assert words[1]["start"] - words[0]["end"] == 24000
    assert length(server.speak(input="[pause:2s]", response_format="wav")) == 32000


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": DOCTYPE, "input_format": "ssml"}, "input"),
        ({"input": "<speak>" + "<p>" * 1000, "input_format": "ssml"}, "input"),
        ({"input": "<speak><audio src='x'/></speak>", "input_format": "ssml"}, "input"),
        ({"input": "<speak>" + "a " * 4096, "input_format": "ssml"}, "input"),
        ({"input": "<speak>Hello.</speak>"}, "input"),
        ({"input": "[[QQ]]"}, "input"),
        ({"input": "[[AE12]]"}, "input"),
        ({"input": "<speak><phoneme alphabet='x-arpabet' ph='K1'/></speak>", "input_format": "ssml"}, "input"),
        ({"input": "[pause:99s]"}, "input"),
        ({"input_format": "html"}, "input_format"),
        ({"input": "a " * 2048, "pronunciations": {"a": "AA1 " * 63 + "AA1"}}, "input"),  # 124 928 phonemes
        ({"pronunciations": {"Nginx": "QQ"}}, "pronunciations"),
        ({"pronunciations": {"Nginx": "K AE21"}}, "pronunciations"),
        ({"pronunciations": {f"w{number}": "K" for number in range(501)}}, "pronunciations"),
        ({"pronunciations": {"a": "K" * 257}}, "pronunciations.a"),
        ({"voice": "ann(2)+nobody(1)"}, "voice"),
        ({"voice": "ann(0)+bob(1)"}, "voice"),
        ({"voice": "ann(1)+ann(1)"}, "voice"),
        ({"voice": {"ann": "2"}}, "voice"),
        ({"voice": {}}, "voice"),
        ({"voice": {"ann": -1, "bob": 1}}, "voice"),
        (
            {"model": "broken", "input": "<speak><prosody pitch='+2st'>a</prosody></speak>", "input_format": "ssml"},
            "input",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_with_its_field(server: Server, changes: dict[str, Any], param: str) -> None:
    response = server.speak(**changes)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_a_mix_is_exact_and_weights_that_scale_give_the_same_bytes(server: Server) -> None:
    mixed = server.speak(voice="ann(2)+bob(1)")
    assert mixed.headers["x-voice"] == "ann(2)+bob(1)"
    for same in ("bob(2)+ann(4)", "ann(0.2)+bob(0.1)", {"ann": 2, "bob": 1}, {"bob": 0.5, "ann": 1}):
        assert server.speak(voice=same).content == mixed.content
    ann, bob = server.speak(voice="ann").content, server.speak(voice="bob").content
    assert len({ann, bob, mixed.content, server.speak(voice="ann(1)+bob(2)").content}) == 4
    assert server.speak(voice="ann(3)").content == server.speak(voice={"ann": 1}).content == ann


def test_a_manifest_says_all_that_was_read(server: Server) -> None:
    spoken = server.speak(voice="bob(2)+ann(4)", input="Nginx and more.", pronunciations=NGINX | {"unused": "K"})
    job = spoken.headers["x-job-id"]
    manifest = httpx.get(f"{server.url}/v1/jobs/{job}/manifest").json()
    assert manifest["request"]["voice"] == "ann(2)+bob(1)"
    assert manifest["request"]["pronunciations"] == NGINX
    assert httpx.post(f"{server.url}/v1/verify", json=manifest, timeout=240.0).json()["equal"]


def test_phonemize_shows_what_is_read(server: Server) -> None:
    def ask(**query: str) -> httpx.Response:
        return httpx.get(f"{server.url}/v1/audio/phonemize", params=query)

    (sentence,) = ask(text="Hi [pause:1s] [[K AE1 T]].").json()["sentences"]
    assert sentence["text"] == "hi, K AE1 T."
    assert sentence["phonemes"] == "sil HH AY1 , K AE1 T ."
    assert [item.get("seconds") for item in sentence["items"]] == [None, 1.0, None, None]
    slow = ask(text="<speak><prosody rate='50%'>Hi</prosody></speak>", input_format="ssml").json()
    assert slow["sentences"][0]["items"][0]["rate"] == 0.5
    refused = ask(text=DOCTYPE, input_format="ssml")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "text")


def config(**changes: Any) -> SessionConfig:
    return SessionConfig(model="tiny", voice="ann", seed=7, **changes)


def test_a_session_speaks_documents_when_they_end_one_at_a_time() -> None:
    state = SessionState(config(input_format="ssml"), Cast.of_one("en"))
    state.add_text("<speak>One. Two.")
    assert state.take() == ""
    state = SessionState.load(state.dump(), lambda config: Cast.of_one("en"))
    state.add_text("</speak> <speak>Three.</speak><speak>")
    assert state.take() == "<speak>One. Two.</speak>"
    state.add_utterance("job_1", 2, 1)
    assert state.take() == " <speak>Three.</speak>"
    state.add_utterance("job_2", 1, 1)
    assert state._incomplete.pending == "<speak>"


def test_a_session_does_not_cut_directives() -> None:
    state = SessionState(config(), Cast.of_one("en"))
    state.add_text("Say [[kæt. ")
    assert state.take() == ""
    state.add_text("dɔɡ]] now. And then ")
    assert state.take() == "Say [[kæt. dɔɡ]] now. "


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

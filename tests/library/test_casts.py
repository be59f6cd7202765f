"""Several voices in one text, with the bundled voices: sounds, languages, times."""

import numpy as np
import pytest

import ancestral
from ancestral.catalog.seeds import part_seed
from ancestral.models.text.phonemes import SENTENCE_ENDS


@pytest.fixture(scope="module")
def model():
    return ancestral.load("wavenet-multilingual")


def test_each_turn_is_what_its_voice_says_alone(model):
    voices = {"ANNA": "emma", "PAUL": "siwis"}
    speech = model.voice("heart").speak("It snowed.\nANNA: Yes.\nPAUL: Non. [voice:joe] No.", seed=7, voices=voices)
    alone = [("heart", "It snowed."), ("emma", "Yes."), ("siwis", "Non."), ("joe", "No.")]
    expected = [model.voice(voice).speak(text, seed=part_seed(7, i)) for i, (voice, text) in enumerate(alone)]
    assert np.array_equal(speech.samples, np.concatenate([turn.samples for turn in expected]))
    assert [(word.speaker, speech.text[slice(*word.span)]) for word in speech.words] == [
        ("heart", "It"), ("heart", "snowed"), ("ANNA", "Yes"), ("PAUL", "Non"), ("joe", "No"),
    ]  # fmt: skip
    before = sum(turn.duration for turn in expected[:2])
    assert speech.words[3].start == pytest.approx(before + expected[2].words[0].start)


def test_every_voice_reads_its_own_language(model):
    text = "Dr. Smith waited. [voice:siwis] M. Dupont a 21 ans. [voice:dora] Son las 3. [voice:heart] Bath."
    said = model.voice("emma").utterance(text)
    alone = [
        model.voice(voice).utterance(part)
        for voice, part in [
            ("emma", "Dr. Smith waited."), ("siwis", "M. Dupont a 21 ans."), ("dora", "Son las 3."), ("heart", "Bath."),
        ]
    ]  # fmt: skip
    assert [s.phones for s in said.sentences] == [s.phones for part in alone for s in part.sentences]
    assert [turn.sampling for turn in said.turns] == [part.sampling for part in alone]


def test_the_language_of_a_text_is_that_of_its_first_voice(model):
    said = model.voice("heart").utterance("Son las 3. [voice:siwis] Il est 3 h.", language="es")
    assert [s.text for s in said.sentences] == ["son las tres.", "il est trois heures."]
    document = '<speak>Three <voice name="siwis">trois <lang xml:lang="en">three</lang></voice></speak>'
    said = model.voice("heart").utterance(document, input_format="ssml")
    assert [word.text for s in said.sentences for word in s.words] == ["three", "trois", "three"]


def test_prosody_goes_on_in_another_voice(model):
    document = '<speak>A <prosody rate="50%">b <voice name="joe">c</voice> d</prosody> e</speak>'
    said = model.voice("heart").utterance(document, input_format="ssml")
    assert [sentence.words[0].control.rate for sentence in said.sentences[:3]] == [1.0, 0.5, 0.5]
    assert [word.control.rate for word in said.sentences[-1].words] == [0.5, 1.0]


def test_silence_between_two_voices_is_kept_and_marks_alone_are_not_said(model):
    said = model.voice("heart").utterance("[voice:joe] Yes. [voice:emma] [pause:2s] [voice:joe] ... [voice:emma] No.")
    assert [(turn.first, turn.speaker) for turn in said.turns] == [(0, "joe"), (1, "emma"), (2, "emma")]
    assert said.sentences[1].controls[0].seconds == 2.0
    assert all(sentence.phones[-1] in SENTENCE_ENDS for sentence in said.sentences[::2])


def test_unknown_voices_are_named(model):
    with pytest.raises(ancestral.InvalidRequest, match=r"text: '\[voice:zoe\]' \(a voice, at position 3\)") as refused:
        model.voice("heart").speak("Hi [voice:zoe] you.")
    assert (refused.value.param, refused.value.code) == ("text", "voice_not_found")
    with pytest.raises(ancestral.InvalidRequest, match="voices: ANNA: ") as refused:
        model.voice("heart").speak("Hi.", voices={"ANNA": "joe+siwis"})
    assert refused.value.param == "voices"
    with pytest.raises(ancestral.InvalidRequest, match="one voice speaks all") as refused:
        model.voice("heart").score(np.zeros(16000, np.float32), "Hi [voice:joe] you.")

"""Words to phones: lexicon, word parts, the statistical guess, and the reading in context."""

import threading

import pytest

from ancestral.models.text import crf, g2p, lexicon, phonemize


def said(text):
    """The words of a one-sentence text with their phones."""
    (sentence,) = phonemize(text)
    return [(item.text, " ".join(item.phones)) for item in sentence.items if not isinstance(item, str)]


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("church", "CH ER1 CH"),
        ("about", "AX0 B AW1 T"),
        ("foxes", "F AA1 K S IH0 Z"),
        ("wavenet", "W EY1 V N EH2 T"),
        ("rebaking", "R IY0 B EY1 K IH0 NG"),
        ("kubernetes's", "K UW2 B ER0 N EH1 T IY0 Z IH0 Z"),
        ("cased", "K EY1 S T"),
        ("zonked", "Z AA1 NG K T"),
        ("ulcerated", "AH1 L S ER0 EY2 T IH0 D"),
        ("ingrain", "IH0 NG G R EY1 N"),
        ("html", "EY1 CH T IY1 EH1 M EH1 L"),
        ("A", "EY1"),
        ("I's", "AY1 Z"),
    ],
)
def test_word(word, phones):
    assert " ".join(g2p.pronounce(word)[0].phones) == phones


@pytest.mark.parametrize(
    ("word", "ending"), [("blorped", "T"), ("zogged", "D"), ("plinted's", "Z"), ("wibblingly", "L IY0")]
)
def test_invented_words_end_as_they_are_spelled(word, ending):
    assert not lexicon.contains(word)
    phones = " ".join(g2p.pronounce(word)[0].phones)
    assert phones.endswith(ending)
    assert "1" in phones, "a content word has a main stress"


HOMOGRAPHS = [
    ("I will read it.", "read", "R IY1 D"),
    ("He has read it.", "read", "R EH1 D"),
    ("I read it yesterday.", "read", "R EH1 D"),
    ("They record the song.", "record", "R IH0 K AO1 R D"),
    ("The record broke.", "record", "R EH1 K ER0 D"),
    ("We live here.", "live", "L IH1 V"),
    ("I love live music.", "live", "L AY1 V"),
    ("He lives alone.", "lives", "L IH1 V Z"),
    ("Their lives matter.", "lives", "L AY1 V Z"),
    ("You can use it.", "use", "Y UW1 Z"),
    ("It is of no use.", "use", "Y UW1 S"),
    ("I used to swim.", "used", "Y UW1 S T"),
    ("She used a pen.", "used", "Y UW1 Z D"),
    ("Close the door.", "close", "K L OW1 Z"),
    ("It is close to me.", "close", "K L OW1 S"),
    ("The wind blew.", "wind", "W IH1 N D"),
    ("To wind a clock.", "wind", "W AY1 N D"),
    ("A lead pipe.", "lead", "L EH1 D"),
    ("They lead us.", "lead", "L IY1 D"),
    ("Don't tear it.", "tear", "T EH1 R"),
    ("She shed a tear.", "tear", "T IH1 R"),
    ("That does not work.", "does", "D AH1 Z"),
    ("They object to it.", "object", "AX0 B JH EH1 K T"),
    ("The object fell.", "object", "AA1 B JH EH0 K T"),
]


@pytest.mark.parametrize(("text", "word", "phones"), HOMOGRAPHS)
def test_homograph(text, word, phones):
    assert dict(said(text))[word] == phones


def test_articles_and_to_follow_the_next_sound():
    assert said("The apple, the pear, an hour, to eat, to go, where to?") == [
        ("the", "DH IY0"),
        ("apple", "AE1 P AX0 L"),
        ("the", "DH AX0"),
        ("pear", "P EH1 R"),
        ("an", "AX0 N"),
        ("hour", "AW1 ER0"),
        ("to", "T UW0"),
        ("eat", "IY1 T"),
        ("to", "T AX0"),
        ("go", "G OW1"),
        ("where", "W EH1 R"),
        ("to", "T UW1"),
    ]
    assert said("The FBI")[0] == ("the", "DH IY0")
    assert said("plan A")[1] == ("A", "EY1")


def test_function_words_are_weak_inside_and_full_at_the_end():
    inside = dict(said("What is it for you and them?"))
    assert (inside["for"], inside["and"], inside["is"]) == ("F ER0", "AX0 N D", "IH0 Z")
    assert dict(said("What are you waiting for?"))["for"] == "F AO1 R"
    assert said("It is.") == [("it", "IH0 T"), ("is", "IH1 Z")]
    assert said("You.") == [("you", "Y UW1")]


@pytest.mark.parametrize("word", ["postgr", "filmr", "sbtl", "grpc", "kubectl", "hamnl", "dunkrk", "mehh", "pazm"])
def test_no_syllable_is_without_a_vowel(word):
    phones = g2p.pronounce(word)[0].phones
    ends = [i for i, phone in enumerate(phones) if phone[-1].isdigit()]
    assert ends
    sonorants = [i for i, phone in enumerate(phones[:-1]) if phone in "RLMN" and phones[i - 1] in "BDFGKPTVZ"]
    assert phones[-1] not in "RLMN" or phones[-2][-1].isdigit()
    assert all(phones[i + 1][-1].isdigit() for i in sonorants)


@pytest.mark.parametrize("letter", "eéEx1")
def test_a_letter_that_is_repeated_without_end_is_spoken_each_time(letter):
    assert sum(len(sentence.words) for sentence in phonemize(letter * 4096)) == 4096


def test_threads_get_the_same_answers():
    words = [f"blorp{a}{b}" for a in "abcdeiou" for b in ("nt", "sk", "mble", "ton")]
    alone = [g2p.guess(word) for word in words]
    answers = {}

    def work(name):
        answers[name] = [g2p.guess(word) for word in words]

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answers[name] == alone for name in range(8))


def test_other_languages_of_gruut() -> None:
    assert lexicon.entries("oiseau", "gruut_lang_fr") == [("w a z o", "")]
    assert lexicon.entries("bird", "gruut_lang_fr") == []
    assert crf.sounds("smartphone", "gruut_lang_fr") == ["s", "m", "a", "ʁ", "f", "ɔ", "n"]

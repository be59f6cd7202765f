"""The whole way from text to sentences: invariants on any string, lengths, spans, directives, SSML, lexicons."""

import random
import re
import signal
import unicodedata
from itertools import pairwise, product

import pytest

from ancestral_models.text import Sentence, UnsupportedText, Word, parse_text, phonemize
from ancestral_models.text.frontend import normalize, skipped
from ancestral_models.text.languages.language import LANGUAGES
from ancestral_models.text.phonemes import ENGLISH_CONSONANTS, ENGLISH_VOWELS, PAUSES, PHONEMES
from ancestral_models.text.pronunciations import PronunciationError, Pronunciations, parse_phonemes
from ancestral_models.text.rules import SpannedText, disjoint
from ancestral_models.text.script import left_out
from ancestral_models.text.ssml import ends_in_open_directive
from tests.models.text.texts import EXAMPLES, POOLS, sequence

LEXICON = Pronunciations({"k8s": "K EY1 T S", "Nginx": "EH1 N JH IH0 N EH1 K S", "tomato": "təˈmeɪtoʊ"})
# docs/text.md: bullets, lines, boxes and ornaments.
_DECORATION = re.compile("[─-◿✐-✒❘-❞❡-❧➲-➿]")


def words_of(text, *language):
    return [item for sentence in phonemize(text, *language) for item in sentence.items if isinstance(item, Word)]


def check(sentence):
    phones, starts = sentence.phones, sentence.word_starts
    assert set(phones) <= set(PHONEMES)
    assert phones[0] == "sil"
    assert phones[-1] in (".", "?", "!", ",")
    assert len(starts) == len(phones)
    assert sum(starts) == sum(not isinstance(item, str) for item in sentence.items) >= 1
    assert not any(a in PAUSES and b in PAUSES for a, b in pairwise(phones))
    assert not any(start and phone in PAUSES for start, phone in zip(starts, phones, strict=True))


LONG = ["the cat saw a very large dog, because it was there " * 20, "cats and dogs met birds " * 30, "zebra " * 200]


@pytest.mark.parametrize("text", [*LONG, "1" * 4096, "internationalization " * 60, "x" * 4096])
def test_long_sentences_are_cut_to_about_fifteen_seconds_and_lose_no_word(text):
    sentences = phonemize(text)
    whole = " ".join(sentence.text.rstrip(".") for sentence in sentences).replace(",", "").split()
    assert sum(sum(sentence.word_starts) for sentence in sentences) == len(whole)
    for sentence in sentences:
        check(sentence)
        assert sum(sentence.word_starts) <= 40
        assert len(sentence.phones) <= 202


@pytest.mark.parametrize("seed", range(8))
def test_any_string_gives_phones_or_a_reason(seed):
    generator = random.Random(seed)
    spoken = 0
    for _ in range(400):
        pools = generator.sample(POOLS, generator.randint(1, 3))
        length = generator.choice([1, 2, 3, 8, 30])
        text = "".join(generator.choice(generator.choice(pools)) for _ in range(length))
        try:
            sentences = phonemize(text)
        except UnsupportedText as refused:
            assert str(refused).startswith(("cannot speak", "nothing to speak")), ascii(text)  # noqa: PT017
            continue
        spoken += 1
        assert sentences, ascii(text)
        for sentence in sentences:
            check(sentence)
    assert spoken > 100


UNITS = [*"1(W.$😂'-", "1.", "1-", "1/", "1,", "a.", "a@", "<a", "aA", "#a", "d'", "O'", "thx|'d", "myBay|'s", "I|'d"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("unit", UNITS)
def test_the_longest_request_becomes_sentences_of_bounded_length(unit, language):
    first, _, unit = unit.rpartition("|")
    sentences = phonemize(first + (unit * 4096)[:4080] + "b", language)
    assert sentences
    for sentence in sentences:
        check(sentence)
        assert sum(sentence.word_starts) <= 40
        assert len(sentence.phones) <= 300, "a word of 40 letters is said at once"


def is_silent(text, at):
    """Whether a character is one of those that docs/text.md lists as having no sound."""
    char, category = text[at], unicodedata.category(text[at])
    silent = char.isspace() or category in ("Cf", "Sk") or category[0] in "PM" or char in "|~>⁄∕ʹʼ"
    again = category in ("So", "Sm") and char in text[:at]  # a row of the same emoji or arrow is read once
    return silent or again or bool(_DECORATION.match(char))


def check_spans(script):
    text, spans = script.written, [word.span for word in words_of(script)]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before == after or before[1] <= after[0] for before, after in pairwise(spans))
    assert all(text[slice(*span)] == text[slice(*span)].strip() for span in spans)
    spoken = {at for span in set(spans) for at in range(*span)}
    named = "".join(skipped(script, ""))
    unsaid = [at for at in range(len(text)) if at not in spoken and text[at] not in named]
    assert [text[at:] for at in unsaid if not is_silent(text, at)] == []


def test_everything_that_is_written_is_read_or_listed_as_silent():
    for example in EXAMPLES:
        check_spans(parse_text(example.written))


@pytest.mark.parametrize("seed", range(2))
def test_any_text_has_its_spans(seed):
    generator = random.Random(seed)
    written = [token for e in EXAMPLES for token in e.written.split()] + ["[pause:1s]", "[[K AE1 T]]", "k8s"]
    for _ in range(300):
        pools = generator.sample(POOLS, generator.randint(1, 3))
        choices = [
            "".join(generator.choice(generator.choice(pools)) for _ in range(generator.choice([1, 3, 8, 30]))),
            "".join(generator.choice(written) + generator.choice([" ", "\n", "", "-", "/", ". "]) for _ in range(8)),
        ]
        for text in choices:
            try:
                script = parse_text(text, "text", LEXICON)
                check_spans(script)
            except UnsupportedText:
                continue


def test_replacements_in_spanned_text():
    text = SpannedText.of("pay $15/hour now", 100).sub(re.compile(r"\$\d+/hour"), " $15 per hour ")
    assert text.text == "pay  $15 per hour  now"
    assert text.spans[4:19] == [
        (104, 104), (104, 105), (105, 106), (106, 107), *[(107, 108)] * 5, *((at, at + 1) for at in range(108, 112)),
        (112, 112), (112, 113),
    ], "it keeps what it has in common with the match"  # fmt: skip
    cut = SpannedText.of("etc.", 0).sub(re.compile(r"etc\."), "et cetera .")
    assert cut.spans == [*[(0, 3)] * 10, (3, 4)], "words are never cut"
    removed = SpannedText.of("a--b", 0).sub(re.compile("--"), "")
    assert (removed.text, removed.spans) == ("ab", [(0, 3), (3, 4)]), "what is removed belongs to its neighbour"
    assert SpannedText.of("http://b", 0).sub(re.compile(".+"), "b").spans == [(0, 8)]


def test_spans_that_overlap_become_one():
    assert disjoint([(0, 2), (2, 4), (5, 8), (6, 7), (6, 9), (9, 9)]) == [(0, 2), (2, 4), *[(5, 9)] * 3, (9, 9)]
    assert disjoint([(0, 1), (4, 5), (2, 3), (6, 7)]) == [(0, 1), (2, 5), (2, 5), (6, 7)]


def test_whatever_is_accepted_is_a_phoneme():
    vowels = {vowel[:-1] for vowel in ENGLISH_VOWELS}
    digits = ["", *"0123", *(first + second for first in "012" for second in "012")]
    for name, stress in product([*vowels, *ENGLISH_CONSONANTS], digits):
        if stress == "" or (name in vowels and stress in ("0", "1", "2")):
            (word,) = parse_phonemes(name + stress)
            assert set(word) <= set(PHONEMES)
        else:
            with pytest.raises(UnsupportedText):
                parse_phonemes(name + stress)


@pytest.mark.parametrize(
    "text",
    ["a [pause:10s] " * 13, "[[" + "K " * 10**5 + "]]", "[[" + "K " * 65 + "]]", "[[" + "a" * 257 + "]]", "[[" * 10**5,
     "[pause:" + "9" * 10**5 + "s]"],
)  # fmt: skip
def test_long_directives_are_refused_in_short(text):
    with pytest.raises(UnsupportedText) as refused:
        phonemize(text)
    assert len(str(refused.value)) < 500


def test_addresses_are_read_by_their_own_rules_and_not_by_a_lexicon():
    for text in ("www.k8s.org", "bob@k8s.io", "/etc/k8s/conf", "#k8s", "https://k8s.io/k8s"):
        assert words_of(parse_text(text, "text", LEXICON)) == words_of(parse_text(text))


def test_the_later_lexicon_wins_and_only_used_entries_are_told():
    both = LEXICON | Pronunciations({"Nginx": "N AA1"})
    script = parse_text("Nginx, Nginx.", "text", both)
    assert both.only(script.entries) == {"Nginx": "N AA1"}
    assert [sequence(sentence) for sentence in phonemize(script)] == ["sil _N AA1 , _N AA1 ."]


@pytest.mark.parametrize("word", ["", "a  b", "a" * 65, "a.", "-a", "ok=QQ", "ok="])
def test_a_wrong_entry_is_named(word):
    name, _, phones = word.partition("=")
    with pytest.raises(PronunciationError) as refused:
        Pronunciations({"fine": "F AY1 N", name: phones if "=" in word else "K"})
    assert repr(name)[:20] in str(refused.value)


def test_sentences_with_cues_are_read_the_same_alone():
    first, second = "Hello [pause:1s] [[K AE1 T]]. ", "[pause:2s] World."
    whole, *parts = ([token.spoken for token in normalize(text)] for text in (first + second, first, second))
    assert whole == parts[0] + parts[1]
    with pytest.raises(UnsupportedText, match=r"position 14\)"):
        phonemize("a [pause:1s] b\x01")


def test_tags_travel_as_json_and_those_that_are_left_out_are_named():
    text = "So. [WHISPERS] I know, [laughs] really. [short pause] Now [long pause] go! [quietly] No [normal] yes [1]."
    found = phonemize(parse_text(text))
    assert [Sentence.from_json(sentence.as_json()) for sentence in found] == found
    assert left_out(text) == left_out(f"{text}<!-- [sighs] -->") == ["[laughs]"]
    assert all(ends_in_open_directive(f"Yes [{part}") for part in ("", "whis", "drawn o")), "the tag may go on"
    assert not ends_in_open_directive("Yes [whispers]")


def test_no_text_can_be_matched_in_many_ways():
    """Such a pattern would be busy with one of these as good as for ever, and is stopped by a signal alone."""
    signal.alarm(60)
    long = ("1" * 4000, "jog " * 500 + ". " + "1x1 " * 520)
    for text in (f"tel +{'1' * 60}x", "AE" * 30 + "BCDF", "11," * 1000, "1 " * 1000 + "x", " " * 3000 + "&&", *long):
        assert all(phonemize(text, language) for language in LANGUAGES)
    signal.alarm(0)
    assert left_out("<!--" * 3000 + "[laughs]") == []


def test_a_score_looks_for_its_game_just_before_it():
    """In the whole text, 500 scores would take seconds."""
    for count, said in ((20, "a"), (200, "por")):
        assert words_of(f"jogo {'e ' * count}2 x 1", "pt")[-2].text == said


HOSTILE = {
    "too long a pause": ("130 s of pauses", "<speak>" + "a<break time='10s'/>" * 13 + "</speak>"),
    "entity bomb": (
        "a document type",
        '<!DOCTYPE speak [<!ENTITY a "ha ha ha"><!ENTITY b "&a;&a;&a;&a;">]><speak>&b;</speak>',
    ),
    "quadratic": ("a document type", f'<!DOCTYPE speak [<!ENTITY a "{"a" * 100_000}">]><speak>{"&a;" * 1000}</speak>'),
    "depth": ("nested 32 deep", "<speak>" + "<p>" * 100_000),
    "attributes": (
        "may take 1048576 characters",
        "<speak " + " ".join(f"a{number}=''" for number in range(10**6)) + ">a</speak>",
    ),
    "many attributes": (
        "a0> is not supported",
        "<speak " + " ".join(f"a{number}=''" for number in range(10**5)) + ">a</speak>",
    ),
    "size": ("may take 1048576 characters", f"<speak>{'a ' * 10**6}</speak>"),
    "long name": ("aaa…> is not supported", f"<{'a' * 10**6}/>"),
}


@pytest.mark.parametrize(("reason", "document"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_documents_are_refused_before_anything_expands(reason, document):
    with pytest.raises(UnsupportedText, match=reason) as refused:
        phonemize(parse_text(document, "ssml"))
    assert len(str(refused.value)) < 1000
    assert "ha ha" not in str(refused.value)

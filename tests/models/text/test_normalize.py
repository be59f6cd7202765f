"""Written text to spoken words, by the table."""

import re

import pytest

from ancestral.models.text.characters import UnsupportedText
from ancestral.models.text.normalize import normalize


def spoken_form(text):
    return [token.spoken for token in normalize(text)]


SPOKEN = {
    # numbers
    "There are 12 of 1,234 left.": "there are twelve of one thousand two hundred and thirty four left .",
    "In 1999 and 2010, in 2005.": "in nineteen ninety nine and twenty ten , in two thousand and five .",
    "The 1980s and the '90s": "the nineteen eighties and the nineties .",
    "the 21st, 2nd and 3rd": "the twenty first , second and third .",
    "It is 3.14159, .5 or -7.": "it is three point one four one five nine , zero point five or minus seven .",
    "1/2, 3/4 and 2 1/2 cups, ½": "one half , three quarters and two and one half cups , one half .",
    "50% of 007": "fifty percent of zero zero seven .",
    "5-10 people, pages 3–4": "five to ten people , pages three to four .",
    "Version 2.0.1": "version two point zero point one .",
    "5 - 3 = 2, 2+2=4, 3×4, 5*3": (
        "five minus three equals two , two plus two equals four , three times four , five times three ."
    ),
    "x² and 10⁻⁵": "X squared and ten to the power of minus five .",
    "1000000 and 5551234": "one million and five five five one two three four .",
    "Call 555-123-4567.": "call five five five , one two three , four five six seven .",
    # money
    "$3.50, £5 and €1.2 million": "three dollars and fifty cents , five pounds and one point two million euros .",
    "$1.01, $0.99, $5-10": "one dollar and one cent , ninety nine cents , five to ten dollars .",
    "5€ or ¥500 or $20k": "five euros or five hundred yen or twenty thousand dollars .",
    # dates and times
    "2026-11-24": "november twenty fourth twenty twenty six .",
    "Nov 24, 2026": "november twenty fourth twenty twenty six .",
    "24/11/2026": "november twenty fourth twenty twenty six .",
    "on 3 March 1847": "on the third of march eighteen forty seven .",
    "Jan. 5 is near": "january fifth is near .",
    "At 10:30, 10:05 and 12:00": "at ten thirty , ten oh five and twelve o'clock .",
    "It was 6am. At 5 p.m. The end.": "it was six A M . at five P M . the end .",
    # units
    "5 km, 1 km, 3kg and 20°C": "five kilometers , one kilometer , three kilograms and twenty degrees celsius .",
    "a 5-km run at 100 km/h": "a five kilometer run at one hundred kilometers per hour .",
    "6 ft. tall, 5 µm, 3 m²": "six feet tall , five micrometers , three square meters .",
    "1/2 in the box, 3/4 in. wide, 1/4 tsp.": "one half in the box , three quarters inch wide , one quarter teaspoon .",
    # abbreviations
    "Dr. Smith lives on Elm Dr. with Mrs. Jones.": "doctor smith lives on elm drive with missus jones .",
    "St. Mary's St. is near.": "saint mary's street is near .",
    "Apples, e.g. red ones, etc. No. 5 is alive. No. It isn't.": (
        "apples , for example red ones , et cetera . number five is alive . no . it isn't ."
    ),
    "The U.S. economy. I live in the U.S. It is big.": "the U S economy . i live in the U S . it is big .",
    "J. R. R. Tolkien and John F. Kennedy": "J R R tolkien and john F kennedy .",
    "The FBI, NASA, the CEO's TVs": "the F B I , nasa , the C E O's T V's .",
    "THIS IS A SHOUT FOR IT": "this is a shout for it .",
    "Henry VIII, Chapter IV, World War II; I went.": ("henry the eighth , chapter four , world war two , i went ."),
    "Vitamin A. A dog.": "vitamin A . a dog .",
    "COVID-19, H2O, MP3 and A4": "covid nineteen , H two O , M P three and A four .",
    "OpenAI's YouTube": "open A I's youtube .",
    "The U.K.'s B.Sc. and Ph.D. students in WWII": "the U K's B S C and P H D students in world war two .",
    "F-16s, 9am-5pm, 10%-20%": "F sixteens , nine A M to five P M , ten percent to twenty percent .",
    "180 lbs., w/o sugar": "one hundred and eighty pounds , without sugar .",
    # addresses
    "See https://www.example.com/a now": "see W W W dot example dot com slash A now .",
    "Mail john_doe@example.org.": "mail john underscore doe at example dot org .",
    "#ThrowbackThursday @jack #5": "hashtag throwback thursday at jack number five .",
    # words and marks
    "“Don’t,” she said — it’s James’s.": "don't , she said , it's james's .",
    "Well-known mother-in-law, rock 'n' roll": "well known mother in law , rock and roll .",
    "What?! Wait... no (really); yes: [ok]": "what ? wait , no , really , yes , ok .",
    "First line\n\nSecond line": "first line . second line .",
    "Café résumé ﬁne ｗｉｄｅ Łódź": "cafe resume fine wide lodz .",
    "a\u200bb\u00adc": "abc .",
    "Sooooo good!!!": "so good !",
    "AT&T, R&D, 100%": "A T and T , R and D , one hundred percent .",
    # emoji and symbols
    "I like it 😀😀!": "i like it , grinning face !",
    "👍🏽 👨‍👩‍👧 🏃‍♀️": "thumbs up , family , man , woman , girl , woman running .",
    "❤️ 🇫🇷 1️⃣": "red heart , flag of france , one .",
    "α particles, ΔT ≠ 0": "alpha particles , delta T not equal to zero .",
}


@pytest.mark.parametrize(("written", "spoken"), SPOKEN.items())
def test_spoken_form(written, spoken):
    assert " ".join(spoken_form(written)) == spoken


@pytest.mark.parametrize(
    ("text", "char", "name", "position"),
    [
        ("Say привет", "п", "CYRILLIC SMALL LETTER PE", 4),
        ("漢", "漢", "CJK UNIFIED IDEOGRAPH-6F22", 0),
        ("x مرحبا", "م", "ARABIC LETTER MEEM", 2),
        ("the λόγος", "λ", "GREEK SMALL LETTER LAMDA", 4),
        ("ok \U00013000", "\U00013000", "EGYPTIAN HIEROGLYPH A001", 3),
    ],
)
def test_other_scripts_are_refused_by_name_and_place(text, char, name, position):
    with pytest.raises(UnsupportedText, match=re.escape(f"{char!r} ({name}, at position {position})")):
        normalize(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\ud800", "'\\ud800' (unpaired surrogate U+D800, at position 1): it has no spoken form"),
        ("Hello\0world", "'\\x00' (control character U+0000, at position 5): it has no spoken form"),
        ("it\x92s", "'\\x92' (control character U+0092, at position 2): it has no spoken form"),
        ("\x01a", "'\\x01' (control character U+0001, at position 0): it has no spoken form"),
        ("\x1b[1m", "'\\x1b' (control character U+001B, at position 0): it has no spoken form"),
        ("a\u20f7", "'\\u20f7' (unnamed character U+20F7, at position 1): it has no spoken form"),
        ("a\ue000", "'\\ue000' (unnamed character U+E000, at position 1): it has no spoken form"),
        # Letters that nobody sees.
        ("😀\U000e0068\U000e0069", "'😀' (GRINNING FACE, at position 0): only English in Latin letters is supported"),
        ("hi\U000e0068", "'\\U000e0068' (TAG LATIN SMALL LETTER H, at position 2): it has no spoken form"),
    ],
)
def test_what_has_no_spoken_form_is_refused_with_a_printable_message(text, reason):
    with pytest.raises(UnsupportedText) as caught:
        normalize(text)
    assert str(caught.value) == f"cannot speak {reason}"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("space", ["\t", "\n", "\r\n", "\x0b", "\x0c", "\x85", "\xa0", "\u2028", "\u3000"])
def test_white_space_of_any_kind_separates_words(space):
    assert spoken_form(f"Hello{space}world") == ["hello", "world", "."]


@pytest.mark.parametrize("char", "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufeff\ufe0f")
def test_invisible_characters_change_nothing(char):
    assert spoken_form(f"{char}Hel{char}lo{char}") == ["hello", "."]


@pytest.mark.parametrize(
    "tag",
    [
        '<break time="1s"/>', "<speak>", "</speak>", "<p>", "<br />", "<say-as interpret-as='date'>", "<a href=x>",
        "<!-- no -->", '<?xml version="1.0"?>', "<mstts:silence/>",
        '<phoneme alphabet="ipa" ph="a">', "<B>", "<![CDATA[",
    ],
)  # fmt: skip
def test_tags_are_refused_by_their_text_and_place(tag):
    message = re.escape(f"cannot speak {tag!r} (a tag, at position 3): plain text has no tags; SSML")
    with pytest.raises(UnsupportedText, match=f"{message}|<!|<.xml"):
        normalize(f"Hi {tag} there")


@pytest.mark.parametrize(
    ("written", "spoken"),
    {
        "if a<b then c>d": "if A less than B then C greater than D .",
        "Mail me at Bob <bob@x.org> please": "mail me at bob , bob at X dot org , please .",
        "See <http://x.org/b> or <x.org>.": "see , X dot org slash B , or , X dot org .",
        "< b >": "less than B greater than .",
        "1<2>0": "one less than two greater than zero .",
        "a<b c>d": "A less than B C greater than D .",
        "<>": "less than greater than .",
        "<<<": "less than less than less than .",
        "a < -5, b <- c": "A less than minus five , B left arrow C .",
        "It is a <1 % chance": "it is a less than one percent chance .",
        "</3 :'( XD": "broken heart , crying face , grinning face .",
    }.items(),
)
def test_angle_brackets_are_spoken(written, spoken):
    assert " ".join(spoken_form(written)) == spoken


@pytest.mark.parametrize("text", ["", "   ", "?!...", "\u200b\ufeff", "───", "(-)", "\n\n"])
def test_nothing_to_speak_is_said_so(text):
    with pytest.raises(UnsupportedText, match="nothing to speak"):
        normalize(text)


def test_marks_never_stand_together_or_first():
    tokens = spoken_form("...! Hello,;: (you)!? - ok ,")
    assert tokens == ["hello", ",", "you", "?", "ok", ","]
    assert spoken_form("Hello (you) :)")[-1] == "."  # only what is written as a clause goes on

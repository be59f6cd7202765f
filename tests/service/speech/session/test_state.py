"""A speech session as pure data: which text is certain, what is said next, where each utterance lies, what is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from contextlib import suppress
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from ancestral.catalog.seeds import part_seed
from ancestral.errors import InvalidRequest, NotFound
from ancestral.requests import MAX_INPUT_CHARACTERS
from ancestral.speech import sentences
from ancestral.speech.sentences import Blocks, Sentences, with_lead
from ancestral.speech.utterance import spoken as spoken_by
from ancestral_models.text import InputFormat, UnsupportedText, parse_text, phonemize
from ancestral_models.text.characters import NothingToSpeak
from ancestral_models.text.markdown import read_markdown
from ancestral_models.text.script import Cast, Speaker
from ancestral_service.speech.elevenlabs import websockets
from ancestral_service.speech.session import native
from ancestral_service.speech.session.runner import SessionRunner
from ancestral_service.speech.session.state import MAX_KEPT, MAX_OUTSTANDING, SessionConfig, SessionState
from ancestral_service.ws import Disconnected

KEEP = 120.0
CAST = Cast.of_one("en")


def session(*lengths: int | None, **config: Any) -> SessionState:
    """A session with utterances of these lengths in samples; None has not ended."""
    own = SessionState(SessionConfig(model="tiny", voice="ann", seed=7, **config), CAST)
    for number, length in enumerate(lengths):
        own.add_utterance(f"job_{number}", sentences=2, estimate=100)
        if length is not None:
            own.end_utterance(length, now=float(number), keep_seconds=1e9)
    return own


def stored(own: SessionState) -> SessionState:
    """The session that another server goes on with."""
    return SessionState.load(own.dump(), lambda config: CAST)


def test_complete_text_is_taken_together() -> None:
    own = session()
    own.add_text("One. Two. Thr")
    assert own.take() == "One. Two. "
    assert own.take() == ""
    own.put_back()
    own.add_text("ee. ")
    assert own.take() == "One. Two. Three. "


def test_a_clause_that_goes_on_stays_by_itself() -> None:
    own = session(chunk_length_schedule=[10, 30])
    text = "One. When the ships came in, all the old men, who knew them, ran. Yes. "
    for word in re.findall(r"\S+ ", text):
        own.add_text(word)
    own, taken = stored(own), []
    while text := own.take():
        taken.append(text)
        own.drop()
    assert taken == ["One. When the ships came in, all the old men, ", "who knew them, ran. Yes. "]


def test_documents_are_spoken_when_they_end_one_at_a_time() -> None:
    own = session(input_format="ssml")
    own.add_text("<speak>One. Two.")
    assert own.take() == ""
    own = stored(own)
    own.add_text("</speak> <speak>Three.</speak><speak>")
    assert own.take() == "<speak>One. Two.</speak>"
    own.add_utterance("job_1", 2, 1)
    assert own.take() == " <speak>Three.</speak>"
    own.add_utterance("job_2", 1, 1)
    assert own._incomplete.pending == "<speak>"


def test_blocks_of_markdown_are_spoken_when_they_end() -> None:
    own = session(input_format="markdown")
    taken = []
    for line in ("# One\n", "\n", "Two **three.\nfour**\n", "\n```\na\n\nb\n", "```\n\n", "- Five\n\n", "Six"):
        own.add_text(line)
        own = stored(own)
        while text := own.take():
            taken.append(text)
            own.drop()
    assert taken == ["# One\n", "\nTwo **three.\nfour**\n\n", "```\na\n\nb\n```\n\n- Five\n\n"]
    own.close()
    assert own.take() == "Six"


def test_code_with_which_markdown_ends_is_not_spoken() -> None:
    own = session(input_format="markdown")
    own.add_text("One.\n\n```\na\nb\n```\n")
    assert own.take() == "One.\n\n"
    own.add_utterance("job_1", 1, 1)
    own.close()
    assert own.take() == ""


def test_directives_are_not_cut() -> None:
    own = session()
    own.add_text("Say [[kæt. ")
    assert own.take() == ""
    own.add_text("dɔɡ]] now. And then ")
    assert own.take() == "Say [[kæt. dɔɡ]] now. "


def test_no_more_than_two_are_outstanding() -> None:
    own = session(*[None] * MAX_OUTSTANDING)
    own.add_text("One. ")
    assert own.take() == ""
    own.end_utterance(10, now=0.0, keep_seconds=KEEP)
    assert own.take() == "One. "


def test_seeds_follow_the_sentences() -> None:
    own = session(5, None)
    assert [utterance.seed for utterance in own.utterances] == [7, part_seed(7, 2)]
    assert own.next_seed == part_seed(7, 4)


def test_a_text_that_ends_like_a_sentence_counts_as_complete_after_a_while() -> None:
    for text, after, seconds in (("Late.", 200, 0.2), ("Lat", 200, None), ("Late.", 0, None)):
        own = session(flush_after_ms=after)
        own.add_text(text)
        assert own.flush_seconds == seconds


def test_done_is_reported_once() -> None:
    own = session()
    own.add_text("One.")
    assert not own.report_done()
    own.close()
    assert not own.report_done()
    own.take()
    assert not own.report_done()
    own.add_utterance("job_0", sentences=1, estimate=100)
    assert not own.report_done()
    own.end_utterance(10, now=0.0, keep_seconds=KEEP)
    assert [own.report_done(), own.report_done()] == [True, False]
    own.close()
    assert own.report_done()


def test_an_end_that_is_repeated_after_a_resumption_is_reported_once() -> None:
    own = session()
    own.close()
    again, reported = stored(own), []
    for _ in range(3):
        reported.append(again.report_done())
        again.close()
    assert reported == [True, False, True]


def test_text_after_the_end_waits_for_it() -> None:
    own = session()
    own.add_text("One.")
    own.close()
    with pytest.raises(InvalidRequest) as refused:
        own.add_text("Two.")
    assert refused.value.code == "wrong_order"
    own.take()
    own.drop()
    assert own.report_done()
    own.add_text("Two.")
    assert not own.closing


@pytest.mark.parametrize(
    ("sample", "number", "skip"),
    [(0, 0, 0), (9, 0, 9), (10, 1, 0), (29, 1, 19), (30, 2, 0), (31, 2, 1), (9999, 2, 9969)],
)
def test_a_sample_lies_in_an_utterance(sample: int, number: int, skip: int) -> None:
    own = session(10, 20, None)
    assert (own.rewind(sample), own.current().number) == (skip, number)


def test_what_has_not_been_said_cannot_be_resumed_nor_what_is_gone() -> None:
    own = session(10, 20)
    assert own.rewind(30) == 0
    assert own.current() is None
    with pytest.raises(InvalidRequest) as refused:
        own.rewind(31)
    assert refused.value.code == "invalid_value"
    own = session(10, 20, None)
    own.end_utterance(30, now=KEEP + 0.5, keep_seconds=KEEP)
    assert (own.first_sample, [utterance.number for utterance in own.utterances]) == (10, [1, 2])
    assert own.rewind(10) == 0
    with pytest.raises(InvalidRequest) as refused:
        own.rewind(9)
    assert refused.value.code == "content_expired"
    own = session(*[1] * (MAX_KEPT + 5))
    assert (len(own.utterances), own.first_sample) == (MAX_KEPT, 5)
    for number in range(5):
        own.add_utterance(f"job_{number}", sentences=1, estimate=100)
        own.cancel(1, now=0.0)
    assert (len(own.utterances), own.first_sample, own.current()) == (MAX_KEPT, 10, None)


def test_cancelled_utterances_end_where_they_were_cut() -> None:
    own = session(10, None, None)
    own.add_text("Never. To be heard")
    assert [utterance.number for utterance in own.cancel(4, now=0.0)] == [1, 2]
    assert own.current() is None
    assert own.take() == ""
    own.add_utterance("job_3", sentences=1, estimate=100)
    for sample, skip in ((15, 1), (14, 0), (12, 0), (13, 1), (11, 0), (12, 1)):  # who has 12 samples will never get 14
        assert (own.rewind(sample), own.current().number) == (skip, 3)
    own.end_utterance(20, now=1.0, keep_seconds=KEEP)
    assert own.rewind(3) == 3
    own.cancel(5, now=2.0)
    own.add_utterance("job_4", sentences=1, estimate=100)
    assert (own.rewind(6), own.current().number) == (1, 4)


def test_a_session_is_not_stored_while_its_text_changes() -> None:
    runner, stored = object.__new__(SessionRunner), list[bool]()

    async def save() -> None:
        stored.append(runner._lock.locked())

    async def run() -> None:
        runner._lock, runner.session_state = asyncio.Lock(), session(None)
        runner._sink, runner._state, runner._submit, runner.save = (AsyncMock() for _ in range(4))
        runner.sample_rate, runner._skip, runner._state.settings.stream_seconds = 16000, 0, KEEP
        runner._send_audio, runner.save = AsyncMock(), save
        await runner._send_utterance(runner.session_state.utterances[0])
        runner.session_state.closing = True
        await runner._report_done()

    asyncio.run(run())
    assert stored == [True, True]


def test_a_cancellation_stops_the_sound_while_a_renewal_hangs() -> None:
    runner = object.__new__(SessionRunner)

    async def run() -> None:
        runner._lock, runner._sending = asyncio.Lock(), asyncio.create_task(asyncio.sleep(60))
        async with runner._lock:  # as while Redis does not answer
            cancelling = asyncio.create_task(runner.cancel())
            await asyncio.wait({runner._sending}, timeout=5)
            assert runner._sending.cancelled()
            cancelling.cancel()

    asyncio.run(run())


def test_a_stored_session_is_the_same() -> None:
    own = session(10, None)
    own.add_text("One. Two. Thr")
    own.take()
    own.close()
    again = stored(own)
    assert again.dump() == own.dump()
    assert again.rewind(12) == 2
    assert again.current() == own.current()
    assert (again.take(), again.take()) == ("One. Two. ", "Thr")


@pytest.mark.parametrize(("sample", "gone"), [(0, False), (12, True)], ids=["refused", "disconnected"])
def test_a_session_is_suspended_whose_resumption_fails(
    sample: int, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection that had it has it no more, and jobs that nobody reads are cancelled after a while."""
    monkeypatch.setattr(native, "session_cast", lambda catalog, config: CAST)
    own, state, websocket = session(10, None), Mock(broker=AsyncMock()), AsyncMock()
    held = AsyncMock(id="session_1")
    own.first_sample = 1
    model = state.catalog.speech_model.return_value
    model.sound_rate = model.spec.sample_rate = 16000
    held.claim.return_value, state.broker.session = own.dump(), Mock(return_value=held)
    state.broker.job.return_value = job = Mock(samples_total=None)
    websocket.send_json.side_effect = Disconnected(1006) if gone else None
    query = native.SpeechQuery(session_id="session_1", from_sample=sample)
    connection = native.NativeConnection(state, websocket, Mock(watch=AsyncMock(), await_key=AsyncMock()), query)
    assert asyncio.run(connection.run(asyncio.Event())) == (1006 if gone else 1008)
    state.broker.suspend.assert_awaited_once_with(job)


def test_a_config_is_checked_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 pronunciations take 0.4 s, in which no other client would get sound."""

    def check(catalog: Any, config: Any) -> SessionState:
        raise InvalidRequest(threading.current_thread().name)

    for module in (native, websockets):
        monkeypatch.setattr(module, "new_session_state", check)
    monkeypatch.setattr(websockets, "session_config", Mock())
    one = native.NativeConnection(Mock(), Mock(), Mock(), native.SpeechQuery())
    other = websockets.MultiContextConnection(Mock(), Mock(), Mock(), "ann", QueryParams())
    for opening in (one._configure(Mock()), other._open_session(Mock(), Mock(), Mock())):
        with pytest.raises(InvalidRequest) as refused:
            asyncio.run(opening)
        assert refused.value.message != threading.main_thread().name


def test_what_is_stored_has_names_of_its_own() -> None:
    """Another version of the server goes on with a session: no attribute that is renamed may rename these."""
    own = session(10)
    own.add_text("One. Two. Thr")
    found = json.loads(own.dump())
    assert found.pop("config") == own.config.model_dump()
    assert found == {
        "received": 13, "sentences": 2, "closing": False, "first_sample": 0, "count": 1, "goes_on": False, "chunks": 1,
        "spoke": False, "incomplete": "Thr", "lead": "", "complete": ["One. Two. "],
        "utterances": [{"number": 0, "job_id": "job_0", "seed": 7, "estimate": 100, "samples": 10, "ended_at": 0.0,
                        "cancelled": False, "skipped": []}],
    }  # fmt: skip
    for other in (found, found | {"config": {"unknown": 1}}, found | {"config": {}, "utterances": [{"unknown": 1}]}):
        with pytest.raises(NotFound, match="another version"):
            SessionState.load(json.dumps(other), lambda config: CAST)


# Sentences in pieces

WORDS = (
    "the", "The", "a", "A", "I", "man", "canoe", "slid", "Smith", "Dr.", "Mr.", "St.", "e.g.", "i.e.", "etc.", "U.S.",
    "no.", "No.", "p.", "5", "3.14", "$3.50", "2020", "Jan.", "May", "5 p.m.", "10 kg.", "J.", "Ph.D.", "vs.", "it's",
    "www.example.com", '"Stop!"', "(why?)", "NASA", "a<b", "approx.", "Vol.", "IV", "Henry", "VIII", "555-1234", "1.",
    "50%", "C#", "https://example.com/a.b?c", "hello@example.com", "#tag", "🙂", "naïve", "so…",
    "<bob@example.com>", "a <= b", "x = a", ":-)", "<3", "zip code", "90210", "911", "call", "/etc/hosts", "notes.pdf",
    "$5/hour", "Sat.", "Mon.", "a $5", "A380", "4 x 5", "fish", "bass", "6 ft 2 in",
)  # fmt: skip
SIGNS = ("- ", "— ", "< ", "> ", "-> ")
ENDS = (". ", "! ", "? ", "… ", "?! ", '." ', ".\n", "\n\n", ".\n\n", "\n- ", "\n2. ", ", ", " ", " ", " ", " ", ": ")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """English of a kind: words that mislead about where sentences end, and ends of all sorts."""
    words = (
        st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDS)).map("".join).map(lambda word: word.replace("..", "."))
    )
    return unmarked(draw(st.lists(words | words | words | st.sampled_from(SIGNS), min_size=1, max_size=14)))


def unmarked(parts: list[str]) -> str:
    """A text without markup, which is refused."""
    return re.sub(r"(a<b\s+)>", r"\1", "".join(parts))


def pieces(text: str, cuts: list[int]) -> list[str]:
    """The text, cut at these places."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(places)]


def check_pieces(text: str, cut: list[str]) -> None:
    """What comes out for each piece, and the rest at the end, is the whole text and says what the whole says."""
    sentences = Sentences()
    found = [*(sentences.feed(piece) for piece in cut), sentences.flush()]
    assert "".join(found) == text
    assert [phones for part in found for phones in spoken(part)] == spoken(text)


def test_what_a_message_costs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr("ancestral.speech.sentences._is_boundary", lambda *place: tried.append(place))
    assert Sentences().feed("Dr. " * 1000) == ""
    assert len(tried) < 100


def spoken(text: str) -> list[tuple[str, ...]]:
    """Its sentences, as phonemes."""
    return [] if Sentences(text).says_nothing else [sentence.phones for sentence in phonemize(text)]


@settings(max_examples=400)
@given(texts(), st.lists(st.integers(0, 1000), max_size=6))
def test_pieces_say_what_the_whole_says(text: str, cuts: list[int]) -> None:
    check_pieces(text, pieces(text, cuts))


@settings(max_examples=60)
@given(texts())
def test_letter_by_letter(text: str) -> None:
    check_pieces(text, list(text))


PLAY = Cast(
    Speaker("ann", "ann", "en-US", "en"), lambda name: Speaker(name, name, "en-US", "en"), names=("ANNA", "OLD BEN")
)
CHANGES = ("ANNA: ", "OLD BEN:", "\nANNA: ", "\n  OLD BEN: ", "[voice:eve] ", ".[voice:ann]", "\n\n[Voice: eve]\n")
MARKDOWN = [
    "[voice:eve] One.\n\nTwo.\n\n- Three\n- 4\n\n**ANNA:** Five.\n# Six\n\nSeven. [softly] Eight.\n\nNine.\n\n    ls",
    "One.\n\n[slowly] Two.\n\n[normal] Three.\n\nOLD BEN: Four.\n\n> Five.\n\n[voice:ann]\n\n1. Six",
    "[sad] One.\n\n```sh\nif a:\n\n    b\n```\n\n[voice:eve]\n\n```ls``` lists.\n\n````\n```\n\n````\n\n2.\n\nSix",
]
MARKDOWN += [
    "[sad] One.\n\n- [softly] Two.\n\n- [fast] Three.\n\n# [slowly] Four\n\n> **[normal]** Five.\n\n**OLD BEN:** Six.",
    "1. **Put**\n\n    it in\n    now.\n\nOne.\n\n*   Two\n\n    *   three\n    *   four\n\n\nFive.",
    "One.\n\n    a\n    b\n\n    c\n\nTwo.",
    "- ```py\n  a\n\n  b\n  ```\nOne.\n\nTwo.\n\n1) ~~~\n   a\n   b\n   ~~~\n\nThree.\n\n\tls\n",
]
TAGS = ("[whispers] ", "[Slowly]", " [laughs] ", "[normal] ", "[pause:1s] ", "[[sad]] ", ". [sad][fast] ")


def turns(
    text: str, cast: Cast = PLAY, input_format: InputFormat = "text"
) -> list[tuple[str, tuple[str, ...], tuple[Any, ...]]]:
    """The sentences of a text, as phonemes, and who says each, and how."""
    with suppress(NothingToSpeak):
        said = spoken_by(parse_text(text, input_format, cast=cast), cast.default)
        return [
            (speaker.voice, sentence.phones, sentence.controls) for speaker, sentences in said for sentence in sentences
        ]
    return []


@example(["a\n2. ", "\n  OLD BEN: ", "No."], [12], PLAY)  # "OLD " is not the word after an item of a list
@settings(max_examples=300)
@given(
    st.lists(st.one_of(texts(), st.sampled_from(CHANGES), st.sampled_from(TAGS)), max_size=6),
    st.lists(st.integers(0, 1000), max_size=8),
    st.sampled_from((PLAY, CAST)),
)
def test_pieces_are_said_by_whom_and_as_the_whole_is(parts: list[str], cuts: list[int], cast: Cast) -> None:
    # Dashes and signs of comparison are read by what stands before them, a lead as well.
    text, sentences, found = re.sub(r"(?<!\w)[-—]+>?\s+|[<>]", "", unmarked(parts)), Sentences("", cast), []
    if cast is CAST:
        text = re.sub(r"(?i)\[voice.*?\]", "", text)
    for piece in [*pieces(text, cuts), None]:
        lead = sentences.lead
        if said := sentences.flush() if piece is None else sentences.feed(piece):
            found += turns(with_lead(lead, said, cast), cast)
    assert found == turns(text, cast)


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("text", MARKDOWN)
def test_blocks_are_said_by_whom_and_as_the_document_is(text: str, size: int) -> None:
    blocks, found = Blocks("", PLAY), []
    for piece in [*(text[at : at + size] for at in range(0, len(text), size)), None]:
        lead = blocks.lead
        if said := blocks.flush() if piece is None else blocks.feed(piece):
            said = blocks.with_lead(lead, said)
        while said:
            block, said = blocks.first(said)
            found += turns(block, input_format="markdown")
    assert found == turns(text, input_format="markdown")


def test_lines_of_markdown_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session's text may come a character at a time, and a block without words be all that it may hold."""
    read = list[str]()
    monkeypatch.setattr(sentences, "read_markdown", lambda text: (read.append(text), read_markdown(text))[1])
    for unit in ("\n", "-\n\n", "```\n", "# A\n", "a"):
        blocks, text = Blocks("", CAST), (unit * MAX_INPUT_CHARACTERS)[:MAX_INPUT_CHARACTERS]
        for char in text:
            blocks.feed(char)
        assert sum(map(len, read)) <= 2 * len(text)
        assert bool(read) is (unit not in ("```\n", "a"))
        read.clear()


@pytest.mark.parametrize(
    "text",
    ["The birch canoe slid. ", "Is it late? ", "No!\n", 'He said "Stop." ', "It costs $3.50. ", "Title\n\n", "Wait?! "],
)
def test_white_space_completes_a_sentence(text: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text.rstrip()) == ""
    assert sentences.feed(text[len(text.rstrip()) :]) == text


@pytest.mark.parametrize(
    ("language", "text", "then", "out"),
    [
        ("en", "I met Dr. ", "Smith there ", ""),
        ("en", "It is 3.", "14 metres ", ""),
        ("en", "Fruit, e.g. ", "apples and ", ""),
        ("en", "Well... ", "maybe not ", ""),
        ("en", "Well... ", "Maybe not ", "Well... "),
        ("en", "He came at 5 p.m. ", "The man ", "He came at 5 p.m. "),
        ("en", "He came at 5 p.m. ", "sharp and ", ""),
        ("en", "We met on Jan. ", "5 of them ", ""),
        ("en", "First things", "\n- second ", "First things\n"),
        ("en", "[whispers] .\n\n", "Hello there ", ""),  # a cue is no sentence
        ("es", "Vi a la Dra. ", "Ruiz ayer ", ""),
        ("es", "¿Qué tal", "? ", "¿Qué tal? "),
        ("es", "Pan, leche, etc. ", "Luego fui ", "Pan, leche, etc. "),
        ("fr", "J'ai vu M. ", "Petit hier ", ""),
        ("it", "Ho visto il dott. ", "Rossi ieri ", ""),
        ("pt", "Vi o Sr. ", "Silva ontem ", ""),
    ],
)
def test_the_next_word_decides_on_the_rest(language: str, text: str, then: str, out: str) -> None:
    sentences = Sentences("", Cast.of_one(language))
    assert sentences.feed(text) == ""
    for letter in then[:-1]:
        assert sentences.feed(letter) in ("", out)
    sentences = Sentences("", Cast.of_one(language))
    sentences.feed(text)
    assert sentences.feed(then) == out


def test_only_the_last_sentence_waits_and_one_that_cannot_be_spoken_takes_no_other_with_it() -> None:
    sentences = Sentences()
    assert sentences.feed("One. Two. Thr") == "One. Two. "
    assert sentences.pending == "Thr"
    assert sentences.feed("ee. ") == "Three. "
    refused = sentences.feed("王 王. ")
    with pytest.raises(UnsupportedText):
        phonemize(refused)
    assert sentences.feed("Four. ") == "Four. "
    assert sentences.flush() == ""


def test_a_tag_is_never_split() -> None:
    sentences = Sentences()
    assert sentences.feed('One. Two <sub alias="Dr. No. The man. ') == "One. "
    refused = sentences.feed('Or. "/> three. ')
    assert refused == 'Two <sub alias="Dr. No. The man. Or. "/> three. '
    with pytest.raises(UnsupportedText, match="tag"):
        phonemize(refused)
    assert sentences.feed("Is a<b? ") == "Is a<b? "


@pytest.mark.parametrize(
    ("text", "nothing"),
    [("", True), (' ."\n…', True), ("Hm.", False), ("🙂", False), ("王", False), ("<p/>", False), ("\0", False)],
)
def test_nothing_to_say(text: str, nothing: bool) -> None:
    assert Sentences(text).says_nothing is nothing


@pytest.mark.parametrize(
    "text", ["e.g. " * 800, "." * 4000, "Dr." + " " * 4000, "( " * 2000, "<a " * 1300, "\n" * 4000]
)
def test_no_text_is_worth_an_attack(text: str) -> None:
    sentences = Sentences()
    for letter in text:
        sentences.feed(letter)
    assert sentences.feed(" x" * 50 + ". The man came. ").endswith("The man came. ")


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("When the ships came in from the north, the old ", "When the ships came in from the north, "),
        ("Well, when the ships came in from the north; the old ", "Well, when the ships came in from the north; "),
        ("When the ships came in from the north, ", ""),  # the next word is to come
        ("When the ships came in, the old harbour ", ""),  # too short
        ("It has been so since the night of June 4, 1976 in ", ""),  # not read as the parts are
        ("We have [[DH AH0 SH IH1 P S AH1 V DH AH0, N AO1 R TH and ", ""),
    ],
)
def test_a_clause_is_cut_off_once_it_is_long_enough(text: str, clause: str) -> None:
    sentences = Sentences()
    assert sentences.feed(text) == ""
    assert sentences.clause(30) == clause
    assert clause + sentences.pending == text


@pytest.mark.parametrize(
    ("text", "seems", "certain"),
    [("It is late.", 1, 1), ('"Is it?" ', 1, 1), ("See Dr.", 1, 0), ("At 5 p.m.", 1, 0), ("Late, ", 0, 0), ("", 0, 0)],
)
def test_a_text_that_ends_like_a_sentence(text: str, seems: bool, certain: bool) -> None:
    sentences = Sentences(text)
    assert sentences.seems_complete == seems
    assert not seems or sentences.is_certain == certain

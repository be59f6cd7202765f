"""A speech session as pure data: what is said next, where each utterance lies, what is remembered."""

from __future__ import annotations

import re

import pytest

from ancestral.catalog.seeds import part_seed
from ancestral.errors import InvalidRequest
from ancestral.models.text.script import Cast
from ancestral.service.speech.session.messages import SessionConfig
from ancestral.service.speech.session.state import MAX_KEPT, MAX_OUTSTANDING, SessionState

KEEP = 120.0
CAST = Cast.of_one("en")


def session(*lengths: int | None) -> SessionState:
    """A session with utterances of these lengths in samples; None has not ended."""
    own = SessionState(SessionConfig(model="tiny", voice="ann", seed=7), CAST)
    for number, length in enumerate(lengths):
        own.add_utterance(f"job_{number}", sentences=2, estimate=100)
        if length is not None:
            own.end_utterance(length, now=float(number), keep_seconds=1e9)
    return own


def test_complete_text_is_taken_together() -> None:
    own = session()
    own.add_text("One. Two. Thr")
    assert own.take() == "One. Two. "
    assert own.take() == ""
    own.add_utterance("job_0", sentences=2, estimate=100)
    own.add_text("ee. ")
    assert own.take() == "Three. "


def test_a_clause_that_goes_on_stays_by_itself() -> None:
    own = SessionState(SessionConfig(model="tiny", voice="ann", seed=7, chunk_length_schedule=[10, 30]), CAST)
    text = "One. When the ships came in, all the old men, who knew them, ran. Yes. "
    for word in re.findall(r"\S+ ", text):
        own.add_text(word)
    own = SessionState.load(own.dump(), lambda config: CAST)
    taken = []
    while text := own.take():
        taken.append(text)
        own.drop()
    assert taken == ["One. When the ships came in, all the old men, ", "who knew them, ran. Yes. "]


def test_no_more_than_two_are_outstanding() -> None:
    own = session(*[None] * MAX_OUTSTANDING)
    own.add_text("One. ")
    assert own.take() == ""
    own.end_utterance(10, now=0.0, keep_seconds=KEEP)
    assert own.take() == "One. "


def test_what_was_put_back_comes_first() -> None:
    own = session()
    own.add_text("One. ")
    own.take()
    own.put_back()
    own.add_text("Two. ")
    assert own.take() == "One. Two. "


def test_seeds_follow_the_sentences() -> None:
    own = session(5, None)
    assert [utterance.seed for utterance in own.utterances] == [7, part_seed(7, 2)]
    assert own.next_seed == part_seed(7, 4)


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
    assert own.report_done()
    assert not own.report_done()
    own.close()
    assert own.report_done()


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
    assert own.rewind(sample) == skip
    found = own.current()
    assert found is not None
    assert found.number == number


def test_what_has_not_been_said_cannot_be_resumed() -> None:
    own = session(10, 20)
    assert own.rewind(30) == 0
    assert own.current() is None
    with pytest.raises(InvalidRequest) as refused:
        own.rewind(31)
    assert refused.value.code == "invalid_value"


def test_sound_that_is_gone_is_forgotten_and_counted() -> None:
    own = session(10, 20, None)
    own.end_utterance(30, now=KEEP + 0.5, keep_seconds=KEEP)
    assert (own.first_sample, [utterance.number for utterance in own.utterances]) == (10, [1, 2])
    assert own.rewind(10) == 0
    with pytest.raises(InvalidRequest) as refused:
        own.rewind(9)
    assert refused.value.code == "content_expired"


def test_no_session_remembers_more_than_so_many() -> None:
    own = session(*[1] * (MAX_KEPT + 5))
    assert len(own.utterances) == MAX_KEPT
    assert own.first_sample == 5


def test_cancelled_utterances_end_where_they_were_cut() -> None:
    own = session(10, None, None)
    own.add_text("Never. To be heard")
    assert [utterance.number for utterance in own.cancel(4, now=0.0)] == [1, 2]
    assert own.current() is None
    assert own.take() == ""
    own.add_utterance("job_3", sentences=1, estimate=100)
    for sample, skip in ((12, 0), (14, 0), (15, 1)):
        assert own.rewind(sample) == skip
        found = own.current()
        assert found is not None
        assert found.number == 3


def test_a_stored_session_is_the_same() -> None:
    own = session(10, None)
    own.add_text("One. Two. Thr")
    own.take()
    own.close()
    again = SessionState.load(own.dump(), lambda config: CAST)
    assert again.dump() == own.dump()
    assert again.rewind(12) == 2
    assert again.current() == own.current()
    assert (again.take(), again.take()) == ("One. Two. ", "Thr")


def test_an_end_that_is_repeated_after_a_resumption_is_reported_once() -> None:
    own = session()
    own.close()
    again = SessionState.load(own.dump(), lambda config: CAST)
    assert again.report_done()
    again.close()
    assert not again.report_done()
    again.close()
    assert again.report_done()

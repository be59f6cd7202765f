"""The state of a speech session, as pure data: text that arrives in pieces, the utterances made of it, and the position
of each of them in the session's sound. No I/O.

An utterance is one job: the sentences that were complete when it was submitted. Its seed is the one that its first
sentence has in the session, so that all utterances together have the samples of one request for the whole text, and
each of them can be requested again by itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ancestral import formats
from ancestral.catalog.catalog import Catalog
from ancestral.catalog.seeds import draw_seed, part_seed
from ancestral.errors import InvalidRequest, NotFound
from ancestral.formats import AudioFormat
from ancestral.requests import MAX_INPUT_CHARACTERS, SpeechRequest, SpokenRequest, StrictRequest, checked
from ancestral.speech.sentences import Blocks, Documents, Sentences
from ancestral.speech.utterance import cast_of, check_language, read_delivery, read_pronunciations
from ancestral_models.text.script import Cast
from ancestral_service.ws import ApiKey, SessionClose

ChunkLengths = list[Annotated[int, Field(ge=5, le=500)]]


class SessionConfig(SpokenRequest):
    """The first message of a speech session. Each `audio.start` has the `timestamps` of its utterance."""

    type: Literal["session.config"] = "session.config"
    response_format: AudioFormat = "pcm"
    flush_after_ms: int = Field(default=300, ge=0, le=60_000)
    """A sentence without white space after it is spoken when so long nothing has come; three times as long after what
    may be an abbreviation. 0 waits for more text or `input.done`."""
    chunk_length_schedule: ChunkLengths = Field(default=[40, 160, 250], max_length=64)
    """An incomplete sentence is spoken up to its last comma, semicolon, colon or dash once that many characters have
    come: the first number holds for the first piece of text, and so on, the last one for all that follow. `[]` speaks
    whole sentences only."""
    api_key: ApiKey = None
    lead_in: None = None
    tail: None = None

    def request(self, text: str, seed: int) -> SpeechRequest:
        """The request over HTTP that says ``text`` in the same way.

        Raises:
            InvalidRequest: with who speaks it, the text is too long.
        """
        shared = self.model_dump(include=SpokenRequest.model_fields.keys() - {"seed", "timestamps"})
        return checked(SpeechRequest, {**shared, "input": text, "seed": seed})


class SessionResume(StrictRequest):
    """The key of a client that resumes a session and cannot set headers: its first message."""

    type: Literal["session.resume"]
    api_key: ApiKey


class InputText(StrictRequest):
    """A piece of text. It is spoken as soon as a sentence is complete."""

    type: Literal["input.text"]
    text: str = Field(min_length=1, max_length=MAX_INPUT_CHARACTERS)


class InputDone(StrictRequest):
    """No more text: the rest is spoken, complete or not."""

    type: Literal["input.done"]


class InputCancel(StrictRequest):
    """Nothing of what has not been sent yet is wanted."""

    type: Literal["input.cancel"]


SpeechMessage = SessionConfig | SessionResume | InputText | InputDone | InputCancel | SessionClose
SPEECH_MESSAGES: dict[str, type[SpeechMessage]] = {
    "session.config": SessionConfig,
    "session.resume": SessionResume,
    "input.text": InputText,
    "input.done": InputDone,
    "input.cancel": InputCancel,
    "session.close": SessionClose,
}
"""What a client of ``/v1/audio/speech/stream`` may say, by type."""


MAX_OUTSTANDING = 2
"""Unfinished utterances at a time: one is being sent, one is sampled ahead."""
MAX_KEPT = 256
"""Utterances that a session remembers."""
_UNCERTAIN = 3
"""How much longer a text waits that may end with an abbreviation ("Dr.", "5 p.m.")."""


@dataclass
class Turn:
    """One job of a session. It is stored under the names of its fields, which another version may have to read."""

    number: int
    """The first one is 0."""
    job_id: str
    seed: int
    estimate: int
    """Approximate number of samples, at the rate of the session."""
    samples: int | None = None
    """Number of samples, or of those sent before it was cancelled; None until it has ended."""
    ended_at: float | None = None
    cancelled: bool = False
    skipped: list[str] = dataclasses.field(default_factory=list)
    """What of its text is in other scripts, and not said."""


def session_cast(catalog: Catalog, config: SessionConfig) -> Cast:
    """The speakers of a session; raises as :func:`new_session_state` does."""
    model, voice = catalog.model_and_voice(config.model, config.voice_id)
    return cast_of(partial(catalog.voice, model), voice, config.language or voice.language, config.voices)


_STORED: Final = {
    "received": "received", "sentences": "sentences", "closing": "closing", "first_sample": "first_sample",
    "count": "_count", "goes_on": "_goes_on", "chunks": "_chunks", "spoke": "_spoke",
}  # fmt: skip
"""Values that are stored as they are: their names there, and the attributes of a session that have them."""


class SessionState:
    """One session.

    Args:
        config: of the session, with its seed and its language.
        cast: who can speak in it.
    """

    def __init__(self, config: SessionConfig, cast: Cast) -> None:
        self.config = config
        self._cast = cast
        self.received = 0
        """Characters of text received."""
        self.sentences = 0
        """Sentences of the utterances so far."""
        self.closing = False
        """Whether the client has sent ``input.done``."""
        self.utterances: list[Turn] = []
        """The utterances whose sound may still be kept."""
        self.first_sample = 0
        """The position of the first of them, in samples of the session."""
        self._count = 0
        self._current = 0
        self._incomplete = self._splitter()
        self._complete: list[str] = []
        """What is spoken next: whole sentences together, and clauses that go on, each by itself."""
        self._goes_on = False
        """Whether the last one is such a clause."""
        self._chunks = 0
        """Pieces of complete text since the last ``input.done``."""
        self._taken = ""
        self._spoke = False
        self._reported = False
        self._end_may_be_repeated = False
        """Whether the client has resumed after ``input.done``, which it then sends again in case it was lost."""

    # Text

    def _splitter(self, pending: str = "", lead: str = "") -> Sentences | Documents:
        match self.config.input_format:
            case "ssml":
                return Documents(pending)
            case "markdown":
                return Blocks(pending, self._cast, lead)
            case "text":
                return Sentences(pending, self._cast, lead)

    def add_text(self, text: str) -> None:
        """Add a piece of text.

        Raises:
            InvalidRequest: too much text is waiting, or ``input.done`` is still being worked off.
        """
        if self.closing and not self._reported:
            message = "type: input.done came before this text, and not everything before it has been spoken"
            raise InvalidRequest(message, param="type", code="wrong_order")
        waiting = sum(map(len, [*self._complete, self._incomplete.lead, self._incomplete.pending]))
        if waiting + len(text) > MAX_INPUT_CHARACTERS:
            message = f"text: {waiting} characters wait to be spoken, and no more than {MAX_INPUT_CHARACTERS} may"
            raise InvalidRequest(message, param="text", code="too_much_text")
        if self.closing:
            self.closing = self._spoke = self._end_may_be_repeated = False
        self.received += len(text)
        self._completed(self._incomplete.lead, self._incomplete.feed(text))
        if schedule := self.config.chunk_length_schedule:
            least = schedule[min(self._chunks, len(schedule) - 1)]
            self._completed(self._incomplete.lead, self._incomplete.clause(least), goes_on=True)

    def _completed(self, lead: str, text: str, *, goes_on: bool = False) -> None:
        if not text:
            return
        if self._complete and not self._goes_on:
            self._complete[-1] += text
        else:
            self._complete.append(self._incomplete.with_lead(lead, text))
        self._goes_on = goes_on
        self._chunks += 1

    def flush(self) -> None:
        """Treat the text so far as complete."""
        if not self._incomplete.says_nothing:
            self._completed(self._incomplete.lead, self._incomplete.flush())

    @property
    def flush_seconds(self) -> float | None:
        """Time without input after which the text so far counts as complete; None if it does not end like a
        sentence."""
        after = self.config.flush_after_ms
        if not after or self.closing or not self._incomplete.seems_complete:
            return None
        return after / 1000 * (1 if self._incomplete.is_certain else _UNCERTAIN)

    def close(self) -> None:
        """End the input. A rest without words is dropped, unless there was nothing else."""
        self.flush()
        rest = self._incomplete.flush()
        self._incomplete = self._splitter()
        if rest.strip() and not (self._spoke or self._complete):
            self._complete = [rest]  # which speech_job refuses
        self._reported = self._reported and self._end_may_be_repeated
        self.closing, self._chunks, self._end_may_be_repeated = True, 0, False

    def speak(self, text: str) -> None:
        """Take a whole text as one utterance, and end the input."""
        self._complete, self.closing, self.received = [text], True, len(text)

    def take(self) -> str:
        """The text of the next utterance, to be passed to :meth:`add_utterance`; empty if there is none yet."""
        if len(self.outstanding) >= MAX_OUTSTANDING or not self._complete:
            return ""
        (self._taken, rest), self._spoke = self._incomplete.first(self._complete.pop(0)), True
        if rest:
            self._complete.insert(0, rest)
        return self._taken

    def put_back(self) -> None:
        """The text that was taken could not be submitted yet."""
        self._complete.insert(0, self._taken)
        self._taken = ""

    def drop(self) -> None:
        """The text that was taken cannot be spoken."""
        self._taken = ""

    @property
    def is_done(self) -> bool:
        """Whether `session.done` has been reported, and no text has come since."""
        return self.closing and self._reported

    def report_done(self) -> bool:
        """Whether `session.done` is due: everything has been spoken; True once per ``input.done``."""
        if not self.closing or self._reported or self._taken or self._complete or self.current() is not None:
            return False
        self._reported = True
        return True

    # Utterances

    @property
    def next_seed(self) -> int:
        assert self.config.seed is not None
        return part_seed(self.config.seed, self.sentences)

    def add_utterance(self, job_id: str, sentences: int, estimate: int, skipped: tuple[str, ...] = ()) -> None:
        """A job has been submitted for the text that was taken."""
        self.utterances.append(Turn(self._count, job_id, self.next_seed, estimate, skipped=list(skipped)))
        self._count += 1
        self.sentences += sentences
        self._taken = ""

    @property
    def outstanding(self) -> list[Turn]:
        """Utterances that have not ended."""
        return [utterance for utterance in self.utterances if utterance.samples is None]

    def current(self) -> Turn | None:
        """The utterance to send, if there is one: the same until it has ended."""
        while self._current < len(self.utterances) and self.utterances[self._current].cancelled:
            self._current += 1
        return self.utterances[self._current] if self._current < len(self.utterances) else None

    def end_utterance(self, samples: int, now: float, keep_seconds: float) -> None:
        """The current utterance has been sent, or has failed. Utterances whose sound has expired are dropped.

        Args:
            samples: of it, at the rate of the session.
            now: in seconds.
            keep_seconds: how long sound is kept.
        """
        utterance = self.utterances[self._current]
        utterance.samples, utterance.ended_at = max(samples, utterance.samples or 0), now
        self._current += 1
        self._forget(now - keep_seconds)

    def _forget(self, before: float) -> None:
        """Drop, of those before the current one, what ended before a time, and the first ones if there are too many."""
        while self._current and (len(self.utterances) > MAX_KEPT or (self.utterances[0].ended_at or 0.0) < before):
            self.first_sample += self.utterances.pop(0).samples or 0
            self._current -= 1

    def cancel(self, samples: int, now: float) -> list[Turn]:
        """Cancel everything that has not been sent.

        Args:
            samples: of the current utterance that have been sent.
            now: in seconds.

        Returns:
            The cancelled utterances.
        """
        cancelled = self.utterances[self._current :]
        for utterance in cancelled:
            if not utterance.cancelled:  # else the client has heard what it has of it
                utterance.samples, utterance.ended_at, utterance.cancelled = samples, now, True
                samples = 0
        self._current = len(self.utterances)
        self._forget(0.0)
        self._incomplete = self._splitter()
        self._complete, self._chunks = [], 0
        self.closing = self._reported = self._spoke = False
        return cancelled

    def rewind(self, sample: int) -> int:
        """Make the utterance that contains a sample the current one.

        Args:
            sample: counted from the session's first one.

        Returns:
            How many samples of the utterance come before it.

        Raises:
            InvalidRequest: the sample has expired, or does not exist yet.
        """
        start = self.first_sample
        if sample < start:
            message = f"from_sample: the sound before sample {start} is no longer kept"
            raise InvalidRequest(message, param="from_sample", code="content_expired")
        for index, utterance in enumerate(self.utterances):
            self._current = index
            if utterance.samples is None or sample < start + utterance.samples:
                heard = sample - start
                for later in self.utterances[index:]:
                    if later.cancelled:  # what the client has not heard of it will not be sent
                        later.samples = heard
                    heard = 0
                return 0 if utterance.cancelled else sample - start
            start += utterance.samples
        self._current = len(self.utterances)
        if sample > start:
            message = f"from_sample: the session has {start} samples so far"
            raise InvalidRequest(message, param="from_sample", code="invalid_value")
        return 0

    # Storage

    def dump(self) -> str:
        """Everything but which utterance is the current one, as JSON."""
        state = {name: getattr(self, attribute) for name, attribute in _STORED.items()} | {
            "config": self.config.model_dump(),
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
            "incomplete": self._incomplete.pending,
            "lead": self._incomplete.lead,
            "complete": [self._taken, *self._complete] if self._taken else self._complete,
        }
        return json.dumps(state)

    @classmethod
    def load(cls, text: str, cast: Callable[[SessionConfig], Cast]) -> SessionState:
        """What :meth:`dump` wrote; the cast is that of its config.

        Raises:
            NotFound: another version of the server wrote it, with other fields.
        """
        try:
            state: dict[str, Any] = json.loads(text)
            config = SessionConfig(**state["config"])
            found = cls(config, cast(config))
            for name, attribute in _STORED.items():
                setattr(found, attribute, state[name])
            found.utterances = [Turn(**utterance) for utterance in state["utterances"]]
            found._complete, found._end_may_be_repeated = state["complete"], found.closing
            found._incomplete = found._splitter(state["incomplete"], state["lead"])
        except (KeyError, TypeError, ValueError) as error:  # of which pydantic's ValidationError is one
            message = "session_id: another version of the server wrote this session"
            raise NotFound(message, param="session_id", code="session_not_found") from error
        return found


def new_session_state(catalog: Catalog, config: SessionConfig) -> SessionState:
    """A session in which speech can be requested. Reading many pronunciations takes tenths of a second.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` names the field.
    """
    (model, voice), form = catalog.model_and_voice(config.model, config.voice_id), config.response_format
    read_pronunciations(config.pronunciations)
    read_delivery(config.instructions)
    language = config.language or voice.language
    check_language(language)
    formats.check_rate(form, formats.rate_of(form, model.sound_rate, config.sample_rate))
    drawn = draw_seed() if config.seed is None else config.seed
    config = config.model_copy(update={"model": model.entry.id, "seed": drawn, "language": language})
    return SessionState(config, session_cast(catalog, config))

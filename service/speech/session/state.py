"""A speech session, pure data: text that arrives in pieces, the utterances made of it, and where each of them lies in
the session's sound. No I/O.

An utterance is one job: the text that was complete at that moment. Its seed is the one that its first sentence has in
the session, so that all utterances together are the samples of one request for the whole text, and each of them can be
asked for again by itself.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from service.catalog.seeds import part_seed
from service.errors import InvalidRequest
from service.speech.schemas import MAX_INPUT_CHARACTERS, SessionConfig
from service.speech.session.sentences import Sentences, nothing_to_say

MAX_OUTSTANDING = 2
"""Utterances at a time: one is being read, one sampled ahead."""
MAX_KEPT = 256
"""Utterances that a session remembers."""


@dataclass
class Utterance:
    """One job of a session."""

    number: int
    """The first one is 0."""
    job_id: str
    seed: int
    estimate: int
    """About how many samples it will have, at the rate of the session."""
    samples: int | None = None
    """How many there were when it ended, for the client; None until then."""
    ended_at: float | None = None
    cancelled: bool = False


class SessionState:
    """What is said in one session.

    Args:
        config: of the session, with its seed.
    """

    def __init__(self, config: SessionConfig) -> None:
        self.config = config
        self.received = 0
        """Characters of text."""
        self.sentences = 0
        """Of the utterances so far."""
        self.closing = False
        """Whether the client has said all that it wants to say for now."""
        self.utterances: list[Utterance] = []
        """Those whose sound may still be there."""
        self.first_sample = 0
        """Where the first of them begins."""
        self._count = 0
        self._next = 0
        self._incomplete = Sentences()
        self._complete = ""
        self._taken = ""
        self._spoke = False
        self._settled = False

    # Text

    def add_text(self, text: str) -> None:
        """A piece of text.

        Raises:
            InvalidRequest: more waits than may, or no text is expected.
        """
        if self.closing and not self._settled:
            message = "type: input.done came before this text, and not everything before it has been spoken"
            raise InvalidRequest(message, param="type", code="wrong_order")
        waiting = len(self._complete) + len(self._incomplete.pending)
        if waiting + len(text) > MAX_INPUT_CHARACTERS:
            message = f"text: {waiting} characters wait to be spoken, and no more than {MAX_INPUT_CHARACTERS} may"
            raise InvalidRequest(message, param="text", code="too_much_text")
        if self.closing:
            self.closing = self._spoke = False
        self.received += len(text)
        self._complete += self._incomplete.feed(text)

    def flush(self) -> None:
        """What has been heard is complete."""
        if not nothing_to_say(self._incomplete.pending):
            self._complete += self._incomplete.flush()

    def close(self) -> None:
        """All is heard. What is left and has no words is dropped, unless there was nothing else."""
        self.flush()
        rest = self._incomplete.flush()
        if rest.strip() and not (self._spoke or self._complete):
            self._complete = rest  # to be refused
        self.closing, self._settled = True, False

    def take(self) -> str:
        """What the next utterance is to say, until it :meth:`began`; empty if it is not time for one."""
        if len(self.outstanding) >= MAX_OUTSTANDING or not self._complete:
            return ""
        self._taken, self._complete, self._spoke = self._complete, "", True
        return self._taken

    def put_back(self) -> None:
        """What was taken cannot be said yet."""
        self._complete, self._taken = self._taken + self._complete, ""

    def drop(self) -> None:
        """What was taken cannot be said."""
        self._taken = ""

    @property
    def is_said(self) -> bool:
        """Whether nothing waits to be said."""
        return not self._taken and not self._complete and self.next() is None

    def settle(self) -> bool:
        """Whether all is said and the client waits to hear so; True once."""
        if not self.closing or self._settled or not self.is_said:
            return False
        self._settled = True
        return True

    # Utterances

    @property
    def next_seed(self) -> int:
        """The seed of the next utterance."""
        assert self.config.seed is not None
        return part_seed(self.config.seed, self.sentences)

    def began(self, job_id: str, sentences: int, estimate: int) -> None:
        """A job has been made of what was taken."""
        self.utterances.append(Utterance(self._count, job_id, self.next_seed, estimate))
        self._count += 1
        self.sentences += sentences
        self._taken = ""

    @property
    def outstanding(self) -> list[Utterance]:
        """Utterances that have not ended."""
        return [utterance for utterance in self.utterances if utterance.samples is None]

    def next(self) -> Utterance | None:
        """The utterance to send, if there is one: the same until it ends."""
        while self._next < len(self.utterances) and self.utterances[self._next].cancelled:
            self._next += 1
        return self.utterances[self._next] if self._next < len(self.utterances) else None

    def ended(self, samples: int, now: float, keep_seconds: float) -> None:
        """The next utterance is sent, all of it or all that there was. Those whose sound is gone are forgotten.

        Args:
            samples: that it has, at the rate of the session.
            now: in seconds.
            keep_seconds: for which sound is kept.
        """
        utterance = self.utterances[self._next]
        utterance.samples, utterance.ended_at = max(samples, utterance.samples or 0), now
        self._next += 1
        while self._next and (len(self.utterances) > MAX_KEPT or self._is_gone(now - keep_seconds)):
            self.first_sample += self.utterances.pop(0).samples or 0
            self._next -= 1

    def _is_gone(self, before: float) -> bool:
        ended_at = self.utterances[0].ended_at
        return ended_at is not None and ended_at < before

    def cancel(self, samples: int, now: float) -> list[Utterance]:
        """Nothing that has not been sent is wanted any more.

        Args:
            samples: of the next utterance that have been sent.
            now: in seconds.

        Returns:
            The utterances of which that is true.
        """
        cancelled = self.utterances[self._next :]
        for utterance in cancelled:
            if utterance.samples is None:
                utterance.samples, utterance.ended_at = samples, now
            utterance.cancelled, samples = True, 0
        self._next = len(self.utterances)
        self._incomplete.flush()
        self._complete, self.closing, self._settled, self._spoke = "", False, False, False
        return cancelled

    def rewind(self, sample: int) -> int:
        """Go back, or on, to the utterance in which a sample lies.

        Args:
            sample: counted from the session's first one.

        Returns:
            How many samples of the utterance come before it.

        Raises:
            InvalidRequest: it is no longer kept, or not there yet.
        """
        start = self.first_sample
        if sample < start:
            message = f"from_sample: the sound before sample {start} is no longer kept"
            raise InvalidRequest(message, param="from_sample", code="content_expired")
        for index, utterance in enumerate(self.utterances):
            self._next = index
            if utterance.samples is None or sample < start + utterance.samples:
                return 0 if utterance.cancelled else sample - start
            start += utterance.samples
        self._next = len(self.utterances)
        if sample > start:
            message = f"from_sample: the session has {start} samples so far"
            raise InvalidRequest(message, param="from_sample", code="invalid_value")
        return 0

    # Storage

    def dump(self) -> str:
        """All of it but where the sending is."""
        state = {
            "config": self.config.model_dump(),
            "received": self.received,
            "sentences": self.sentences,
            "closing": self.closing,
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
            "first_sample": self.first_sample,
            "count": self._count,
            "incomplete": self._incomplete.pending,
            "complete": self._taken + self._complete,
            "spoke": self._spoke,
        }
        return json.dumps(state)

    @classmethod
    def load(cls, text: str) -> SessionState:
        """What :meth:`dump` wrote."""
        state: dict[str, Any] = json.loads(text)
        own = cls(SessionConfig(**state["config"]))
        own.received, own.sentences = state["received"], state["sentences"]
        own.closing, own.first_sample = state["closing"], state["first_sample"]
        own.utterances = [Utterance(**utterance) for utterance in state["utterances"]]
        own._count, own._complete, own._spoke = state["count"], state["complete"], state["spoke"]
        own._incomplete = Sentences(state["incomplete"])
        return own

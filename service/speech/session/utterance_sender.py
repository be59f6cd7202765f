"""Sends the bytes of one utterance to the client of a session."""

from __future__ import annotations

import hashlib
import time
from typing import Final, Protocol

from ancestral.errors import AncestralError, InvalidRequest
from ancestral.service.speech.session.state import Utterance
from ancestral.service.ws.bounded_websocket import FRAME_BYTES

_CUT: Final = {"pcm": (0, 2), "wav": (44, 2), "ulaw_8000": (0, 1), "alaw_8000": (0, 1)}
"""Bytes of the header and of a sample, for the formats that can be cut at any sample."""


class EventSink(Protocol):
    """The messages that a client gets. All methods raise CloseConnection or Disconnected if one cannot be sent."""

    async def started(self, utterance: Utterance) -> None:
        """Called when an utterance starts."""

    async def sound(self, data: bytes) -> None:
        """Send some of its bytes."""

    async def progress(self, utterance: Utterance, samples: int, factor: float) -> None:
        """Called with the samples sent so far, and seconds of sound per second."""

    async def ended(self, utterance: Utterance, total_bytes: int, samples: int, sha256: str) -> None:
        """Called when it has been sent completely."""

    async def finished(self) -> None:
        """Called when the whole input has been spoken."""

    async def failed(self, error: AncestralError, retry_after: int | None = None) -> None:
        """Something failed; with ``retry_after`` (seconds) the server will try again."""


class UtteranceSender:
    """One utterance.

    Args:
        sink: to the client.
        utterance: to send.
        sample_rate: of the bytes.
        form: the format of the bytes.
        skip: samples that the client has already. Formats that cannot be cut are sent from the start.
    """

    def __init__(self, sink: EventSink, utterance: Utterance, sample_rate: int, form: str, skip: int) -> None:
        self.sent = 0
        """Samples of it that the client has got."""
        self._sink = sink
        self._utterance = utterance
        self._rate = sample_rate
        self._cut = _CUT.get(form)
        self._skip = skip
        self._skip_bytes = 0 if self._cut is None or not skip else self._cut[0] + self._cut[1] * skip
        self._total_bytes = 0
        self._sha256 = hashlib.sha256()
        self._started_at: float | None = None
        self._reported = skip

    def seconds(self) -> float:
        """Seconds of its sound that have been sent over this connection."""
        return max(0, self.sent - self._skip) / self._rate

    async def send(self, piece: bytes, samples: int) -> None:
        """Send the next bytes.

        Args:
            piece: not empty.
            samples: encoded so far.
        """
        await self._start()
        self._sha256.update(piece)
        for start in range(0, len(piece), FRAME_BYTES):
            frame = piece[start : start + FRAME_BYTES]
            if new := frame[self._skip_bytes :]:
                await self._sink.sound(new)
            self._skip_bytes = max(0, self._skip_bytes - len(frame))
            self._total_bytes += len(frame)
            self.sent = samples
            if self._cut is not None:
                header, width = self._cut
                self.sent = max(0, self._total_bytes - header) // width
        if (whole := (self.sent - self._reported) // self._rate) > 0:
            # The next report is due a second later, however far this piece goes beyond this one's.
            self._reported += whole * self._rate
            await self._sink.progress(self._utterance, self.sent, self._factor())

    async def end(self, samples: int) -> None:
        """All bytes have been sent.

        Args:
            samples: in total.

        Raises:
            InvalidRequest: the client claims to have more.
        """
        if self._skip > samples:
            message = f"from_sample: utterance {self._utterance.number} has no more than {samples} samples"
            raise InvalidRequest(message, param="from_sample", code="invalid_value")
        await self._start()
        await self._sink.ended(self._utterance, self._total_bytes, samples, self._sha256.hexdigest())
        self.sent = samples

    async def _start(self) -> None:
        if self._started_at is None:
            self._started_at = time.monotonic()
            await self._sink.started(self._utterance)

    def _factor(self) -> float:
        assert self._started_at is not None
        seconds = max(1e-3, time.monotonic() - self._started_at)
        return round((self.sent - self._skip) / self._rate / seconds, 2)

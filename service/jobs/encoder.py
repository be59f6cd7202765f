"""What makes the file of a job out of its symbols."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from ancestral.service.broker.messages import Piece
from ancestral.service.jobs.stream import drop_published


class Encoder(ABC):
    """The symbols of a job in, the bytes of its file out."""

    media_type: str
    batch_symbols: int
    """Symbols per round trip."""

    def __init__(self) -> None:
        self.samples = 0
        self.digest = hashlib.sha256()

    def feed(self, pieces: list[Piece]) -> bytes:
        """The next bytes; may be none."""
        data = bytearray()
        for piece in pieces:
            if len(symbols := drop_published(piece, self.samples)):
                self.samples += len(symbols)
                self.digest.update(symbols.data)
                data += self.encode(piece.index, symbols)
        return bytes(data)

    @abstractmethod
    def encode(self, index: int, symbols: NDArray[Any]) -> bytes:
        """The bytes that these symbols (or samples of sound), of stream ``index``, complete; may be none."""

    @abstractmethod
    def finish(self) -> bytes:
        """The last bytes."""

    def rewrites(self) -> Iterable[tuple[int, bytes]]:
        """Offsets, and the bytes to write there over those already written."""
        return ()

    def entries(self) -> Sequence[tuple[int, int]]:
        """Offset and size of each file inside an archive, once it is finished."""
        return ()

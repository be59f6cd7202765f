"""Errors of the library, and interrupts that wait for a moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

# The errors of arguments that cannot be used, wherever they came from: Python, the command line or HTTP.
#
# Models that cannot be loaded raise :class:`~ancestral_models.entries.ModelError` and
# :class:`~ancestral_models.checkpoint.CheckpointError`.


class AncestralError(Exception):
    """The base. ``message`` is for people, ``code`` for programs."""

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The parameter that is wrong."""
        self.code = code or self.code

    def renamed(self, names: Mapping[str, str]) -> Self:
        """This error with the name that clients of another API know its parameter by, if there is one."""
        if self.param is not None and (name := names.get(self.param)) is not None:
            self.param, self.message = name, f"{name}{self.message.removeprefix(self.param)}"
        return self


class InvalidRequest(AncestralError):
    """A value that can never be used as it stands."""


class NotFound(AncestralError):
    """Unknown name."""

    code = "not_found"


class ServerError(AncestralError):
    """A server that refuses, fails or does not answer, for a reason that is not in the request."""

    def __init__(
        self, message: str, *, status: int | None = None, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status
        """HTTP status; None if there was no answer."""


def check_range(param: str, value: object, low: float, high: float) -> None:
    """Raise :class:`InvalidRequest` if a value is no number of a range, NaN included; of whole bounds a whole one."""
    kind = int if isinstance(low, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        number, bounds = ("a whole number", f"{low} … {high}") if kind is int else ("a number", f"{low:g} … {high:g}")
        message = f"{param}: must be {number} in {bounds}, not {value!r}"
        raise InvalidRequest(message, param=param, code="invalid_value")


def check_type(param: str, value: object, kind: type, words: str) -> None:
    """Raise :class:`InvalidRequest` if a value is not of a type; ``words`` say what it must be."""
    if not isinstance(value, kind):
        message = f"{param}: must be {words}, not {value!r:.40}"
        raise InvalidRequest(message, param=param, code="invalid_type")


def check_choice(param: str, value: object, choices: Collection[str]) -> None:
    """Raise :class:`InvalidRequest` if a value is none of those that there are."""
    if not isinstance(value, str) or value not in choices:
        message = f"{param}: one of {', '.join(choices)}, not {value!r}"
        raise InvalidRequest(message, param=param, code="invalid_value")


# Ctrl-C where a KeyboardInterrupt, which Python raises between any two instructions, would do harm.


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C when the block has ended.

    Within, it would be lost in the callback of a C library, which then returns 0 for what was written; or leave the
    lock of a ``threading.Condition`` held (https://github.com/python/cpython/issues/74174). It is raised in the main
    thread alone. A handler of SIGINT of somebody's own, such as a server's, is left alone.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    arrived: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if arrived:
        raise KeyboardInterrupt

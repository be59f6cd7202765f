"""Ctrl-C where a KeyboardInterrupt, which Python raises between any two instructions, would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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

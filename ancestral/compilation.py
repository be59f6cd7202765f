"""Logs that numba compiles kernels, which takes a minute on the first start and is silent otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core import event

log = logging.getLogger(__name__)


class _Compilation(event.Listener):
    """Logs the first compilation. There is none where the kernels of an earlier start are found on disk."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._logged = False

    def on_start(self, event: event.Event) -> None:
        if not self._logged:
            log.info("compiling kernels (first start only)", extra={"model": self._model})
            self._logged = True

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def compilation_logged(model: str) -> Iterator[None]:
    """Log if anything is compiled in this block, for a model."""
    listener = _Compilation(model)
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call] # numba has no types
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)  # type: ignore[no-untyped-call]

"""The compiled C of ancestral_models/kernels: chosen for this processor, loaded, and called with numpy's arrays.

ctypes, because a library that knows nothing of Python serves all its versions; a call costs 2 µs and takes at least
100. All sets of instructions give the same bytes. ``NATIVE_INSTRUCTIONS`` forces one of
:func:`native_build.variants`.
"""

from __future__ import annotations

import ctypes
import logging
import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ancestral_models import native_build

log = logging.getLogger(__name__)

LINE, _HUGE_PAGE = 64, 1 << 21
"""Bytes of a line of the cache, and of a huge page."""


@cache
def _load(variant: str) -> ctypes.CDLL:
    path = native_build.path(variant)
    if not path.exists():
        log.info("compiling the kernels for %s", variant)
        native_build.build([variant])
    return ctypes.CDLL(str(path))


@cache
def instructions() -> str:
    """The set of instructions in use.

    Raises:
        ValueError: ``NATIVE_INSTRUCTIONS`` names none that this processor has.
    """
    names, forced = native_build.variants(), os.environ.get("NATIVE_INSTRUCTIONS")
    if forced and forced not in names:
        raise ValueError(f"NATIVE_INSTRUCTIONS: {forced!r} is none of {', '.join(names)}")
    return forced or names[0]


def array(kind: DTypeLike) -> Any:
    """The type of a parameter: an array of these numbers without gaps, or None."""
    dtype = np.dtype(kind)

    def from_param(_: Any, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or value.dtype != dtype or not value.flags.c_contiguous:
            raise TypeError(f"an array of {dtype} without gaps, not {value!r}")
        return ctypes.c_void_p(value.ctypes.data)

    return type(f"Pointer_{dtype}", (ctypes.c_void_p,), {"from_param": classmethod(from_param)})


def room(size: int, step: int = LINE) -> NDArray[np.uint8]:
    """``size`` bytes that begin at a multiple of ``step``."""
    whole = np.empty(size + 2 * step, np.uint8)
    start = -whole.ctypes.data % step
    return whole[start : start + size]


def aligned(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that begins on a line of the cache; of a quarter of a megabyte and more, on a huge page.

    Vector loads that straddle two lines cost a tenth of the speed; weights in small pages, which are scattered and may
    collide in a cache, another twentieth. numpy requests huge pages from Linux for arrays of 4 MiB or more, and a page
    that is begun takes 2 MiB, which is too much for a small network.
    """
    copy = room(numbers.nbytes, _HUGE_PAGE if numbers.nbytes > _HUGE_PAGE // 8 else LINE).view(np.float32)
    copy[:] = numbers
    return copy


INTEGER = ctypes.c_int64
NUMBER = ctypes.c_double


class Function:
    """A function of the library, found when it is called first. It checks kinds of arrays, not their sizes.

    Args:
        name: as exported.
        parameters: :func:`array`, :data:`INTEGER` or :data:`NUMBER`, in order.
        returns: :data:`INTEGER` or :data:`NUMBER`; nothing if absent.
    """

    def __init__(self, name: str, *parameters: Any, returns: Any = None) -> None:
        self._prototype = ctypes.CFUNCTYPE(returns, *parameters)
        self._name, self._found = name, dict[str, Any]()

    def __call__(self, *arguments: Any) -> Any:
        variant = instructions()
        if variant not in self._found:
            self._found[variant] = self._prototype((self._name, _load(variant)))
        return self._found[variant](*arguments)

"""The number formats of large matrices."""

from __future__ import annotations

from enum import IntEnum


class Precision(IntEnum):
    """The number format of the large matrices."""

    FP32 = 0
    INT8 = 1

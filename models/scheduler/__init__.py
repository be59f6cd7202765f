"""Continuous batching: streams join and leave a running batch at chunk boundaries.

Threads and callbacks only; what comes out of them may go to an event loop, a file or a test.
"""

from __future__ import annotations

from ancestral.models.scheduler.scheduler import Figures, Scheduler
from ancestral.models.scheduler.slots import Chunk, End, Slot

__all__ = ["Chunk", "End", "Figures", "Scheduler", "Slot"]

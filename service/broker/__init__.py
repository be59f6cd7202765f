"""The only door to Redis: jobs and their priorities, the symbols on their way to readers, snapshots, who is alive.

    ancestral:job:ID        hash: the record (service/broker/job.py), and attempt, turn, read, wanted, parked
    ancestral:stream:ID     stream: what was sampled, in order; ends with a mark
    ancestral:events:ID     stream: what happened to the job
    ancestral:snapshot:ID   the sampler's state after some of the symbols; ancestral:input:ID what was uploaded
    ancestral:content:ID    what came of it, as a file (service/jobs/artifacts.py)
    ancestral:waiting:LANE  sorted set by order of arrival; ancestral:running:LANE by start
    ancestral:control:ID    channel: to the worker that has the job in hand

The queue itself is SAQ's (service/broker/queue.py); it carries ids. Records are JSON, symbols raw bytes; no pickle.

Two numbers tell the living from the dead. Each time a job is put into the queue is a turn; what becomes of an earlier
one does not matter any more. Each time it is begun is an attempt; of an earlier one nothing is taken.
"""

from __future__ import annotations

from service.broker.clients import Clients
from service.broker.connection import PREFIX, UNAVAILABLE, BrokerHooks, patiently, sent
from service.broker.messages import (
    Begin,
    Ended,
    Entry,
    Gone,
    Lost,
    Overtaken,
    Piece,
    QueueFull,
    Resume,
    Signals,
    Snapshot,
    TooMany,
    WorkerInfo,
)
from service.broker.workers import Workers

__all__ = [
    "PREFIX",
    "UNAVAILABLE",
    "Begin",
    "Broker",
    "BrokerHooks",
    "Ended",
    "Entry",
    "Gone",
    "Lost",
    "Overtaken",
    "Piece",
    "QueueFull",
    "Resume",
    "Signals",
    "Snapshot",
    "TooMany",
    "WorkerInfo",
    "patiently",
    "sent",
]  # fmt: skip


class Broker(Clients, Workers):
    """A connection to Redis, and every operation on it. One per process and event loop."""

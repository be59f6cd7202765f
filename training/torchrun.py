"""Runs that torchrun has started: one process a GPU, or a core, on any number of machines with a common folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist

# Its functions have the group as the default of an argument. Imported after the group is made, as an optimizer's first
# step does, they would hold it, and its threads would run into the end of the interpreter, which now and then aborts.
import torch.distributed.nn.functional

_T = TypeVar("_T")


def world_size() -> int | None:
    """The number of processes that torchrun has started, this one among them; None if it has not started this one."""
    return int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else None


@contextmanager
def process_group() -> Iterator[None]:
    """The group of the processes that torchrun has started, from its environment; nothing if it has not."""
    if world_size() is None:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def rank_zero_first(work: Callable[[], _T]) -> _T:
    """Do work that writes files in the process of rank 0, and then in the others, which find what it has left."""
    if not dist.is_initialized():
        return work()
    if dist.get_rank():
        dist.barrier()
    done = work()
    if not dist.get_rank():
        dist.barrier()
    return done

"""Shared by all tests of models/."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Small products gain nothing from more threads, and on a busy machine wait for each other ten times as long."""
    torch.set_num_threads(1)

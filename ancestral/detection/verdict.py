"""What the evidence about a file amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict(answer: Mapping[str, Mapping[str, Any]]) -> str:
    """What the parts of an answer amount to, and no more."""
    if answer["seed"].get("counter") is not None or answer["signature"].get("own"):
        return "made_here"
    if answer["seed"]["status"] == "found" or answer["recipe"]["status"] == "equal":
        return "made_with_model"
    if answer["signature"]["status"] == "valid":
        return "signed"
    return "could_be_ours" if answer["model"]["status"] == "could_be_ours" else "no_evidence"

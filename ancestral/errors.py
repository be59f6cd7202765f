"""The errors of arguments that cannot be used, wherever they came from: Python, the command line or HTTP.

Models that cannot be loaded raise :class:`~ancestral.models.entries.ModelError` and
:class:`~ancestral.models.checkpoint.CheckpointError`.
"""

from __future__ import annotations

from collections.abc import Collection


class AncestralError(Exception):
    """The base. ``message`` is for people, ``code`` for programs."""

    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The parameter that is wrong."""
        self.code = code or self.code


class InvalidRequest(AncestralError):
    """A value that can never be used as it stands."""


class NotFound(AncestralError):
    """Nothing has this name."""

    code = "not_found"


def check_range(param: str, value: float, low: float, high: float) -> None:
    """Raise :class:`InvalidRequest` if a number is not in a range, NaN included."""
    if not low <= value <= high:
        message = f"{param}: must lie in {low:g} … {high:g}, not {value!r}"
        raise InvalidRequest(message, param=param, code="invalid_value")


def check_choice(param: str, value: str, choices: Collection[str]) -> None:
    """Raise :class:`InvalidRequest` if a value is none of those that there are."""
    if value not in choices:
        message = f"{param}: one of {', '.join(choices)}, not {value!r}"
        raise InvalidRequest(message, param=param, code="invalid_value")

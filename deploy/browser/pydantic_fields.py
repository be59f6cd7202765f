"""What ancestral/requests.py needs of Pydantic, for the browser: Pydantic's compiled half is on no registry for this
Pyodide. It checks names and ranges of fields. The site has it under the names ``pydantic`` and ``pydantic_core``.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, Self, TypeVar

JsonValue = Any
ConfigDict = dict
_F = TypeVar("_F", bound=Callable[..., Any])
_REQUIRED: Final = object()
_RANGES: Final = {
    "ge": (operator.ge, "greater_than_equal"),
    "le": (operator.le, "less_than_equal"),
    "gt": (operator.gt, "greater_than"),
    "lt": (operator.lt, "less_than"),
}


class PydanticCustomError(ValueError):
    """A reason that a validator of the library gives."""


class ValidationError(ValueError):
    """Wrong values.

    Args:
        found: as Pydantic describes them: ``type``, ``loc``, ``msg``, ``ctx``.
    """

    def __init__(self, found: Sequence[Mapping[str, Any]]) -> None:
        self._found = found

    def errors(self, **_: bool) -> Sequence[Mapping[str, Any]]:
        """All of them."""
        return self._found


class Field:
    """The default of a field, and the limits of its values."""

    def __init__(self, *, default: Any = _REQUIRED, **limits: Any) -> None:
        self.default, self._limits = default, limits

    def check(self, name: str, value: Any) -> None:
        """Raise :class:`ValidationError` for a number out of its range."""
        for limit, (fits, kind) in _RANGES.items():
            bound = self._limits.get(limit)
            if bound is not None and isinstance(value, int | float) and not fits(value, bound):
                raise ValidationError([{"type": kind, "loc": (name,), "msg": kind, "ctx": {limit: bound}}])


class _Metadata:
    """What stands in an annotation, for a server."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass


BeforeValidator = PlainSerializer = PlainValidator = WithJsonSchema = _Metadata


def model_validator(**_: Any) -> Callable[[_F], _F]:
    """A decorator of what corrects the JSON of other clients."""
    return lambda function: function


class BaseModel:
    """A request: one attribute for each annotation."""

    model_fields: ClassVar[dict[str, Field]] = {}

    def __init_subclass__(cls) -> None:
        hints = {name: hint for base in reversed(cls.__mro__) for name, hint in inspect.get_annotations(base).items()}
        values = {name: getattr(cls, name, _REQUIRED) for name, hint in hints.items() if "ClassVar" not in str(hint)}
        cls.model_fields = {
            name: value if isinstance(value, Field) else Field(default=value) for name, value in values.items()
        }

    @classmethod
    def model_validate(cls, values: Mapping[str, Any]) -> Self:
        """A request with these values, where a field has one, and defaults elsewhere.

        Raises:
            ValidationError: there is no such field, or a value is out of range.
        """
        if unknown := [name for name in values if name not in cls.model_fields]:
            raise ValidationError([{"type": "extra_forbidden", "loc": (unknown[0],), "msg": "no such parameter"}])
        request = cls.model_construct(**values)
        for name, value in request:
            cls.model_fields[name].check(name, value)
        return request

    @classmethod
    def model_construct(cls, **values: Any) -> Self:
        """The same with values that have been validated."""
        request = cls()
        request.__dict__.update({name: values.get(name, field.default) for name, field in cls.model_fields.items()})
        return request

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield from self.__dict__.items()

    def model_dump(self, *, include: set[str]) -> dict[str, Any]:
        """Some of the fields."""
        return {name: self.__dict__[name] for name in include}

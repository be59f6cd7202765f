"""Query parameters: an unknown or a repeated one is an error, never ignored."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from ancestral.errors import InvalidRequest


async def check_query(request: Request) -> None:
    """Dependency of every HTTP route.

    Raises:
        InvalidRequest: the route has no parameter of that name, or the parameter is given twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    known = set(_query_names(request.scope["route"].dependant)) if names else set()
    for name in names:
        if name not in known:
            raise InvalidRequest(f"{name}: no such parameter", param=name, code="unknown_parameter")
        if names.count(name) > 1:
            raise InvalidRequest(f"{name}: given twice", param=name, code="duplicate_parameter")


def _query_names(dependant: Dependant) -> Iterator[str]:
    """The query parameters that a route and its dependencies declare, one by one or as a model."""
    for field in dependant.query_params:
        model = field.field_info.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            yield from (info.alias or name for name, info in model.model_fields.items())
        else:
            yield field.alias
    for dependency in dependant.dependencies:
        yield from _query_names(dependency)

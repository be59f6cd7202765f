"""Server-sent events of jobs. Apart from the reader of jobs, which a worker loads: it has no web framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.sse import format_sse_event
from pydantic import BaseModel


def event(payload: BaseModel | Mapping[str, Any]) -> bytes:
    """One server-sent event; the ``None`` fields of a model are left out."""
    if isinstance(payload, BaseModel):
        return format_sse_event(data_str=payload.model_dump_json(exclude_none=True))
    return format_sse_event(data_str=json.dumps(payload))

"""Logs: one JSON object a line on standard error. They hold request ids and figures, never what anyone said."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id")
"""The ``x-request-id`` of the request being served; every line logged meanwhile carries it."""
current_job: ContextVar[str] = ContextVar("current_job")
"""The job that was made of the request, or is in hand; the same."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "asctime"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; whatever was passed as ``extra`` becomes a key of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        served = {"request_id": request_id.get(""), "job": current_job.get("")}
        line.update((name, value) for name, value in served.items() if value)
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


_UNWANTED = frozenset(
    {
        "Exception in ASGI application\n",  # `service.api.http.middleware` has logged it, traceback and all
        "ASGI callable returned without completing handshake.",  # of a websocket that was refused, as it should be
        '%s - "WebSocket %s" [accepted]',  # with its query, which may hold the id of a session
        '%s - "WebSocket %s" 403',
        '%s - "WebSocket %s" %d',
    }
)


def _unwanted(record: logging.LogRecord) -> bool:
    """Whether uvicorn says what has been said, is wrong, or had better not be said."""
    return record.name == "uvicorn.error" and record.msg in _UNWANTED


def configure(level: str) -> None:
    """Send every log of the process, uvicorn's included, through :class:`JsonFormatter`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: not _unwanted(record))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("numba").setLevel(logging.WARNING)  # at debug it prints its bytecode

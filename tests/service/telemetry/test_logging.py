"""Logs: JSON or text, colours, and what is left out."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import subprocess
import sys

import pytest
from redis.exceptions import ConnectionError as NoConnection

from ancestral.service.telemetry import logging as outage
from ancestral.service.telemetry.logging import (
    ACCESS_LOGGER,
    JsonFormatter,
    RedisOutage,
    TextFormatter,
    current_job,
    request_id,
    without_password,
)

PROGRAM = """
import logging, sys
from ancestral.service.telemetry.logging import configure_logging

configure_logging("info", sys.argv[1])
logging.getLogger("service.test").info("a line", extra={"key": "two words"})
"""
TEXT = r"\d\d:\d\d:\d\d  info     a line  key=\"two words\"\r?\n"


def record(message: str, name: str = "service.test", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, level, "file.py", 1, message, (), None, extra=extra)


def text(log_record: logging.LogRecord) -> str:
    """The line without its time."""
    line = TextFormatter(colours=False).format(log_record)
    assert re.match(r"\d\d:\d\d:\d\d  ", line)
    return line[10:]


def run(log_format: str, *, terminal: bool, **variables: str) -> str:
    """What a process that logs one line writes to standard error: a terminal or a pipe."""
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    environment |= {"TERM": "xterm"} | variables
    ours, theirs = pty.openpty() if terminal else os.pipe()
    with os.fdopen(ours, "rb") as output:
        line = [sys.executable, "-c", PROGRAM, log_format]
        subprocess.run(line, stderr=theirs, env=environment, check=True, timeout=60)
        if terminal:  # closed only afterwards: Linux discards what a terminal's last user wrote when it closes it
            written = os.read(ours, 4096)
            os.close(theirs)
        else:
            os.close(theirs)
            written = output.read()
    return written.decode()


def test_json_or_text_on_a_terminal_or_in_a_pipe() -> None:
    line = json.loads(run("auto", terminal=False))
    assert set(line) == {"time", "level", "logger", "message", "key"}
    assert (line["level"], line["message"], line["key"]) == ("info", "a line", "two words")
    assert json.loads(run("json", terminal=True))["message"] == "a line"
    coloured = run("auto", terminal=True)
    assert "\x1b[32minfo" in coloured
    plain = [run("auto", terminal=True, NO_COLOR="1"), run("auto", terminal=True, TERM="dumb")]
    for written in (re.sub(r"\x1b\[\d+m", "", coloured), *plain, run("text", terminal=False)):
        assert re.fullmatch(TEXT, written)


def test_a_line_names_its_request_and_job() -> None:
    tokens = request_id.set("r-1"), current_job.set("job_2")
    try:
        line = json.loads(JsonFormatter().format(record("hello")))
        assert (line["request_id"], line["job"]) == ("r-1", "job_2")
        assert text(record("hello", count=3, absent=None)) == "info     hello  request_id=r-1 job=job_2 count=3"
    finally:
        request_id.reset(tokens[0])
        current_job.reset(tokens[1])


def test_values_in_text() -> None:
    line = text(record("hello", level=logging.WARNING, names=["a", "b"], url="redis://h:1/0", said='a "b"', empty=""))
    assert line == r'warning  hello  names=a,b url=redis://h:1/0 said="a \"b\"" empty=""'


def test_access_lines_in_text() -> None:
    figures = {"method": "POST", "route": "/v1/audio/speech", "status": 200, "complete": True, "milliseconds": 12.3}
    assert text(record("request", ACCESS_LOGGER, **figures)) == "info     POST /v1/audio/speech 200, 12.3 ms"
    lost = figures | {"route": None, "status": 499, "complete": False}
    assert text(record("request", ACCESS_LOGGER, **lost)) == "info     POST (no route) 499, incomplete, 12.3 ms"
    websocket = record("websocket", ACCESS_LOGGER, route="/v1/images/stream", code=1000, seconds=1.5)
    assert text(websocket) == "info     websocket  route=/v1/images/stream code=1000 seconds=1.5"


def test_a_terminal_is_sent_no_control_characters() -> None:
    line = text(record("\x1b[2Jgone\r", value="\x9b31m\x07"))
    assert line == r'info     \x1b[2Jgone\r  value="\x9b31m\u0007"'


def test_a_traceback_stands_below_its_line() -> None:
    try:
        raise ValueError("wrong\x1b")
    except ValueError:
        failed = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    head, *below = text(failed).split("\n")
    assert head == "error    failed"
    assert below[0].startswith("Traceback")
    assert below[-1] == r"ValueError: wrong\x1b"
    assert "ValueError: wrong" in json.loads(JsonFormatter().format(failed))["traceback"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:secret@localhost", "redis://:***@localhost"),
        ("rediss://bob:se:cret@h:1/2?ssl_cert_reqs=none", "rediss://bob:***@h:1/2?ssl_cert_reqs=none"),
        ("redis://bob@h:1", "redis://bob@h:1"),
        ("redis://h:1/0?password=se@cret", "redis://h:1/0?password=***"),
        ("unix:///a/redis.sock?password=secret&db=1", "unix:///a/redis.sock?password=***&db=1"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    assert without_password(url) == shown


# What a process logs while Redis cannot be reached.


def call(redis: RedisOutage, *, fails: bool) -> None:
    with redis.tolerated():
        if fails:
            raise NoConnection("refused")


def test_an_outage_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    redis = RedisOutage("redis://bob:secret@h:1/0")
    with caplog.at_level(logging.INFO):
        for fails in (True, True, True, False, False, True):
            call(redis, fails=fails)
    down, up = "Redis is unavailable, retrying", "connected to Redis"
    assert [line.message for line in caplog.records] == [down, up, down]
    assert {vars(line)["redis"] for line in caplog.records} == {"redis://bob:***@h:1/0"}
    assert vars(caplog.records[0])["reason"] == "ConnectionError: refused"
    assert not redis.connected


def test_a_long_outage_is_logged_again(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "REMIND_SECONDS", 0.0)
    redis = RedisOutage("redis://h")
    call(redis, fails=True)
    call(redis, fails=True)
    assert len(caplog.records) == 2


def test_other_errors_are_not_tolerated() -> None:
    redis = RedisOutage("redis://h")
    with pytest.raises(ValueError, match="ours"), redis.tolerated():
        raise ValueError("ours")
    assert not redis.connected

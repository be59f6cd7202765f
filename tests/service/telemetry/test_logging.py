"""Logs: what is written otherwise or left out, and what is said while Redis is away."""

from __future__ import annotations

import logging
import re

import pytest
from redis.exceptions import ConnectionError as NoConnection

from ancestral_service.telemetry.logging import RedisOutage, TextFormatter, without_password


def test_a_terminal_is_sent_no_control_characters() -> None:
    extra = {"value": "\x9b31m\x07"}
    record = logging.root.makeRecord("service.test", logging.INFO, "a.py", 1, "\x1b[2Jgone\r", (), None, extra=extra)
    line = TextFormatter(colours=False).format(record)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  ", line[:10])
    assert line[10:] == r'info     \x1b[2Jgone\r  value="\x9b31m\u0007"'


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://h:1/0?ssl_password=secret&db=1", "rediss://h:1/0?ssl_password=***&db=1"),
        ("redis://:secret@localhost", "redis://:***@localhost"),
        ("rediss://bob:se:cret@h:1/2?ssl_cert_reqs=none", "rediss://bob:***@h:1/2?ssl_cert_reqs=none"),
        ("redis://bob@h:1", "redis://bob@h:1"),
        ("redis://:se@cret@h:1", "redis://:***@h:1"),
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

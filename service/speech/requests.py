"""Requests for sound as orders: what has to be checked before a job can be made of them, over HTTP or a websocket."""

from __future__ import annotations

from service.broker.job import Kind
from service.catalog.catalog import Catalog
from service.catalog.seeds import draw_seed
from service.jobs.submit import JobSpec
from service.speech import codecs
from service.speech.schemas import SessionConfig, SpeechRequest
from service.speech.session.state import SessionState
from service.speech.utterance import Utterance, prepare


def speech_job(catalog: Catalog, request: SpeechRequest) -> tuple[JobSpec, Utterance]:
    """What to sample for a text, and what will be said. Takes a moment: text becomes phonemes.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot be served; ``param`` says why.
    """
    seed = draw_seed() if request.seed is None else request.seed
    utterance = prepare(
        catalog,
        request.model,
        request.voice_id,
        request.input,
        seed,
        temperature=request.temperature,
        speed=request.speed,
    )
    model, form = utterance.model, request.response_format
    codecs.check_rate(form, codecs.rate_of(form, model.spec.sample_rate, request.sample_rate))
    own = {"voice": request.voice_id, "seed": seed, "temperature": utterance.temperature}
    resolved = request.model_dump() | own | {"phonemes": utterance.phonemes}
    return JobSpec(Kind.SPEECH, model, request.model_dump(), resolved, utterance.seconds), utterance


def new_session_state(catalog: Catalog, config: SessionConfig) -> SessionState:
    """A session in which speech can be ordered.

    Raises:
        NotFound: no such model.
        InvalidRequest: it cannot speak so; ``param`` says why.
    """
    model, form = catalog.speech_model(config.model, "speech"), config.response_format
    model.voice(config.voice if isinstance(config.voice, str) else config.voice.id)
    codecs.check_rate(form, codecs.rate_of(form, model.spec.sample_rate, config.sample_rate))
    return SessionState(config if config.seed is not None else config.model_copy(update={"seed": draw_seed()}))

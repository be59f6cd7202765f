"""The headers that say what an output was made from, and the name of its file (RFC 6266 and RFC 8187)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from ancestral.provenance.c2pa import EMBEDDED, MANIFEST_TYPE
from ancestral.service.broker.job import Job
from ancestral.service.images.payloads import PicturesPayload
from ancestral.service.jobs.payload import Payload, SampledPayload
from ancestral.service.jobs.state import AppState
from ancestral.service.speech.payloads import AudioPayload, SpeechLikelihoodPayload, SpeechPayload

_UNSAFE: Final = re.compile(r"[^\w.+-]+")
"""Everything but letters and digits of any script, ``_``, ``.``, ``+`` and ``-``: no separators, quotes or controls."""
_PART_CHARACTERS: Final = 60
_MOST_SKIPPED: Final = 20


def sample_headers(job: Job, payload: Payload, engine: str | None) -> dict[str, str]:
    """What an output was made from: ids even where the request had aliases, and the seed even where it was drawn.

    Args:
        job: that made it.
        payload: of the job.
        engine: that sampled it; None if that is not known yet.
    """
    headers = {"x-job-id": job.id, "x-model": job.model, "x-model-sha256": job.sha256}
    if engine is not None:
        headers["x-engine"] = engine
    if isinstance(payload, SampledPayload):
        headers["x-seed"] = str(payload.seed)
    if isinstance(payload, AudioPayload | SpeechLikelihoodPayload):
        headers["x-voice"] = payload.voice
    if isinstance(payload, SpeechPayload) and (words := payload.skipped):
        headers["x-skipped"] = ", ".join(quote(word[:_PART_CHARACTERS]) for word in words[:_MOST_SKIPPED])
    return headers


def manifest_link(service: AppState, job: Job, media_type: str) -> dict[str, str]:
    """The header that names the C2PA manifest of a file, if there is one and it is not inside."""
    if service.signer is None or media_type in EMBEDDED:
        return {}
    return {"link": f'</v1/jobs/{job.id}/manifest.c2pa>; rel="c2pa-manifest"; type="{MANIFEST_TYPE}"'}


def disposition(job: Job, payload: Payload, index: int | None = None) -> dict[str, str]:
    """The header that names the file of a job; none for a job that gives figures.

    Args:
        job: whose file is sent.
        payload: of the job.
        index: of one picture of several; None is the whole output, a ZIP archive if there are several pictures.
    """
    if isinstance(payload, AudioPayload):
        name = _name(job.model, payload.voice, payload.seed, payload.response_format.partition("_")[0])
    elif isinstance(payload, PicturesPayload):
        whole = index is None and payload.count > payload.best_of
        seed, form = payload.seed_of(index or 0), "zip" if whole else payload.output_format
        name = _name(job.model, payload.prompt, seed, form)
    else:
        return {}
    return {"content-disposition": _header(name)}


def disposition_of(title: str, form: str) -> dict[str, str]:
    """The header that names the file of a book."""
    return {"content-disposition": _header(f"{_safe(title) or 'book'}.{form}")}


def _name(model: str, subject: str | None, seed: int, form: str) -> str:
    parts = [model, *([] if subject is None else [subject]), str(seed)]
    return "-".join(filter(None, map(_safe, parts))) + f".{form}"


def _safe(text: str) -> str:
    """A part of a name that is safe in every file system: it has no separator, and no dot at its ends."""
    return _UNSAFE.sub("_", text.strip()[:_PART_CHARACTERS]).strip("._-")


def _header(name: str) -> str:
    """``inline``, so that a browser still shows a picture. ``filename*`` only where ASCII is not enough."""
    plain = re.sub(r"[^!-~]", "_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'inline; filename="{plain}"{extended}'

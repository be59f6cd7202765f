"""``GET /v1/audio/phonemize``: how a text is read, without a model."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from ancestral.service.api.deps import Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.speech.phonemes import Phonemized, PhonemizeQuery, phonemized
from ancestral.speech.utterance import read_text

router = APIRouter(prefix="/v1/audio", tags=["speech"])


@router.get("/phonemize", summary="See how a text is read", responses=documented(400, 401))
async def phonemize(query: Annotated[PhonemizeQuery, Query()], service: Service) -> Phonemized:
    """The sentences, words, phonemes and pauses that the front-end makes of a text, with the deployment's lexicon."""
    lexicon = service.catalog.pronunciations
    _, sentences = await asyncio.to_thread(read_text, query.text, query.input_format, lexicon, "text")
    return phonemized(sentences)

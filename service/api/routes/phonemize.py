"""``GET /v1/audio/phonemize``: how a text is read, without a model."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from ancestral.models.text import Sentence
from ancestral.service.api.deps import Service
from ancestral.service.api.http.openapi import documented
from ancestral.service.speech.phonemes import Phonemized, PhonemizeQuery, phonemized
from ancestral.speech.utterance import read_text

router = APIRouter(prefix="/v1/audio", tags=["speech"])


@router.get("/phonemize", summary="See how a text is read", responses=documented(400, 401))
async def phonemize(query: Annotated[PhonemizeQuery, Query()], service: Service) -> Phonemized:
    """The sentences, words, phonemes and pauses that the front-end makes of a text, with the deployment's lexicon."""

    def read() -> list[Sentence]:
        lexicon, form, language = service.catalog.pronunciations, query.input_format, query.language
        return read_text(query.text, lexicon, "text", language, input_format=form, language=language)[1]

    return phonemized(await asyncio.to_thread(read))

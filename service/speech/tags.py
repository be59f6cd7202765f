"""The tags in a sound file: what it was made from, as far as request and weights determine it."""

from __future__ import annotations

import json

from ancestral.service.speech.codecs import Tags
from ancestral.service.speech.payloads import AudioPayload


def tags_of(payload: AudioPayload, model: str, model_sha256: str) -> Tags:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files; the text is not in it.

    Args:
        payload: of the job.
        model: its id.
        model_sha256: of its weights.
    """
    recipe = {
        "model": model,
        "model_sha256": model_sha256,
        "voice": payload.voice,
        "seed": payload.seed,
        "temperature": payload.temperature,
    }
    return {"title": f"{payload.voice}, seed {payload.seed}", "comment": json.dumps(recipe)}

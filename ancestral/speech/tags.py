"""The tags in a sound file: what it was made from, as far as request and weights determine it."""

from __future__ import annotations

import json

from ancestral.codecs import Tags
from ancestral.speech.utterance import SoundRequest


def tags_of(request: SoundRequest, model: str, model_sha256: str) -> Tags:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files; the text is not in it.

    Args:
        request: what was made.
        model: its id.
        model_sha256: of its weights.
    """
    recipe = {
        "model": model,
        "model_sha256": model_sha256,
        "voice": request.voice,
        "seed": request.seed,
        "temperature": request.temperature,
    }
    return {"title": f"{request.voice}, seed {request.seed}", "comment": json.dumps(recipe)}

"""The tags in a sound file: what it was made from, as far as request and weights determine it."""

from __future__ import annotations

import json
from typing import Any

from ancestral.codecs import Tags
from ancestral.speech.utterance import SoundRequest


def recipe_of(request: SoundRequest, model: str, model_sha256: str) -> dict[str, Any]:
    """What a sound is made from, as JSON values; arguments as of :func:`tags_of`."""
    return {
        "model": model,
        "model_sha256": model_sha256,
        "voice": request.voice,
        "seed": request.seed,
        "temperature": request.temperature,
    }


def tags_of(request: SoundRequest, model: str, model_sha256: str) -> Tags:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files; the text is not in it.

    Args:
        request: what was made.
        model: its id.
        model_sha256: of its weights.
    """
    recipe = json.dumps(recipe_of(request, model, model_sha256))
    return {"title": f"{request.voice}, seed {request.seed}", "comment": recipe}

"""The tags in a sound file: what it was made from, as far as request and weights determine it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ancestral.catalog.models import SpeechModel
from ancestral.speech.utterance import SoundRequest, Utterance

_DEFAULTS: Final = {"speed": 1.0, "pitch": 0.0, "intonation": 1.0, "input_format": "text"}


def recipe_of(request: SoundRequest, model: SpeechModel) -> dict[str, Any]:
    """What a sound is made from, as JSON values with the names of a request: all but the text, and what is as usual."""
    recipe = {
        "model": model.entry.id,
        "model_sha256": model.sha256,
        "voice": request.voice,
        "seed": request.seed,
        "temperature": request.temperature,
    }
    if isinstance(request, Utterance):
        usual = _DEFAULTS | {"language": model.mix(request.voice).language}
        recipe |= {name: value for name in usual if (value := getattr(request, name)) != usual[name]}
        recipe |= {name: dict(entries) for name in ("pronunciations", "voices") if (entries := getattr(request, name))}
    return recipe


def tags_of(request: SoundRequest, model: SpeechModel) -> Mapping[str, str]:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files."""
    return {"title": f"{request.voice}, seed {request.seed}", "comment": json.dumps(recipe_of(request, model))}

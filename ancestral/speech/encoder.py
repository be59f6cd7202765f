"""Sound to bytes, each sentence with the band of its voice above 8 kHz; the tags say what a file was made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ancestral import codecs
from ancestral.catalog.models import SpeechModel
from ancestral.codecs import NO_TAGS, Rewrite, Tags, Wave
from ancestral.requests import CONTROLS, Speak
from ancestral.speech.sampler import SpeechResampler
from ancestral.speech.utterance import SoundPlan, Utterance


def recipe_of(request: SoundPlan, model: SpeechModel) -> dict[str, Any]:
    """What a sound is made from, as JSON values with the names of a request: all but the text, and what is as usual."""
    recipe = {
        "model": model.entry.id,
        "model_sha256": model.sha256,
        "voice": request.voice,
        "seed": request.seed,
        "temperature": request.temperature,
    }
    if isinstance(request, Utterance):
        usual = {name: Speak.model_fields[name].default for name in CONTROLS}
        usual["language"] = model.mix(request.voice).language
        said = {name: getattr(request, name) for name in CONTROLS}
        said |= {name: dict(said[name]) for name in ("pronunciations", "voices")}
        recipe |= {name: value for name, value in said.items() if value != usual[name]}
    return recipe


def tags_of(request: SoundPlan, model: SpeechModel) -> Mapping[str, str]:
    """A title for people, and as the comment the recipe as JSON, like that of PNG files."""
    return {"title": f"{request.voice}, seed {request.seed}", "comment": json.dumps(recipe_of(request, model))}


class SoundEncoder:
    """An encoder of the sound that a model samples.

    Args:
        model: that samples.
        said: whose voice each sentence has.
        form: a key of :data:`ancestral.codecs.MEDIA_TYPES`.
        sample_rate: of the bytes; that of the format, or of what is heard of the model, if None.
        length: samples that will be fed; 0 if not known.
        tags: of the file.

    Raises:
        InvalidRequest: the format does not support the rate.
    """

    def __init__(
        self, model: SpeechModel, said: SoundPlan, form: str, sample_rate: int | None,
        length: int = 0, tags: Tags = NO_TAGS,
    ) -> None:  # fmt: skip
        rate = codecs.rate_of(form, model.sound_rate, sample_rate)
        length = codecs.resampled_length(length, model.spec.sample_rate, rate)
        self._encoder = codecs.encoder(form, rate, length, tags)
        self._resampler = SpeechResampler(model, said, rate)

    def feed(self, index: int, wave: Wave) -> bytes:
        """Encode the next chunk, of sentence number ``index``. Returns the bytes that are ready."""
        return self._encoder.feed(self._resampler.feed(index, wave))

    def finish(self) -> bytes:
        """The remaining bytes."""
        return self._encoder.feed(self._resampler.finish()) + self._encoder.finish()

    def rewrites(self) -> list[Rewrite]:
        """Changes to the header that make a file of the stream."""
        return self._encoder.rewrites()

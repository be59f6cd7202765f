"""24 requests, and a hash of all that each gives: the same with all instructions, on all processors and in a browser.

``python -m tests.library.same_bytes`` prints them; CONTRIBUTING.md has where it was run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import ancestral
from ancestral.catalog.catalog import CatalogConfig
from ancestral.loader import load_models

SPOKEN: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("wavenet-multilingual", "heart", "The birch canoe slid.", {}),
    ("wavenet-multilingual", "joe", "I read 12/5/2024. Zyxquoth!", {}),
    ("wavenet-multilingual", "emma", "It snowed.", {"pitch": -1.0}),
    ("wavenet-multilingual", "heart(2)+joe", "Late.", {"speed": 1.3, "intonation": 1.4}),
    ("wavenet-multilingual", "dora", "La canoa de abedul.", {}),
    ("wavenet-multilingual", "siwis", "Le canot glissa.", {}),
    ("wavenet-multilingual", "sara", "La canoa di betulla.", {}),
    ("wavenet-multilingual", "dora-br", "A canoa de bétula.", {"temperature": 0.5}),
    ("wavenet-en", "joe", "Nobody saw it.", {"pitch": 1.0}),
    ("wavenet-en", "slt(2)+rms", "Is it late?", {}),
)
"""Model, voice, text, options."""
DRAWN: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("pixelcnn-digits", "7", {"guidance": 1.5}),
    ("pixelcnn-sprites", "elf, robe", {"n": 2}),
    ("pixelcnn-sprites", "any", {"guidance": 1.0, "temperature": 1.0}),
    *((f"pixelcnn-{name}", "any", {}) for name in ("characters", "avatars", "avatars-rgb", "fashion")),
    *((f"pixelcnn-{name}", None, {}) for name in ("gated", "original")),
    *((f"pixelrnn-{name}", None, {}) for name in ("row", "diagonal", "multiscale")),
)
"""Model, prompt, options."""


def outputs() -> Iterator[tuple[str, object]]:
    """Times of phonemes, samples, a file at 24 kHz; pixels, what they show, likelihoods; two scores; and the probes by
    which a worker knows whether it may go on with another's job."""
    loaded = load_models(CatalogConfig(), "native")
    models = {name: ancestral.Model(loaded, name) for name in loaded.models}
    for seed, (name, voice, text, options) in enumerate(SPOKEN):
        speech = models[name].voice(voice).speak(text, seed=seed, **options)
        times = [(phoneme.text, phoneme.start, phoneme.end) for phoneme in speech.phonemes]
        yield f"{voice}: {text}", (times, speech.samples.tobytes(), speech.encode("pcm", 24000))
    heart, digits = models["wavenet-multilingual"].voice("heart"), models["pixelcnn-digits"]
    yield "score of sound", heart.score(heart.speak("Yes.", seed=1).samples, "Yes.")
    for seed, (name, prompt, options) in enumerate(DRAWN):
        pictures = models[name].draw_many(prompt, seed=seed, **{"n": 1} | options)
        shown = [(picture.attributes, picture.bits) for picture in pictures]
        yield f"{name}: {prompt} {options or ''}", (pictures.pixels.tobytes(), shown)
    yield "score of a picture", digits.score(digits.draw("7", seed=7), "7")
    for name, sampler in loaded.samplers.items():
        yield f"probe of {name}, {sampler.engine.name}", sampler.warm()


if __name__ == "__main__":
    for name, output in outputs():
        print(hashlib.sha256(repr(output).encode()).hexdigest()[:16], name, flush=True)

"""The library as the page calls it, in Pyodide: a request as JSON in, JSON and bytes out.

deploy/browser/page/worker.js calls :func:`answer`. Fields are named as in requests to a server, and so are the parts of
answers that a server's have, too.
"""

from __future__ import annotations

import hashlib
import io
import json
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from ancestral.catalog.catalog import CatalogConfig, Checkpoints
from ancestral.catalog.descriptions import SpeechModel
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.codecs import encode_file
from ancestral.detection.examine import Picture as PictureFile
from ancestral.detection.examine import Sound, examine
from ancestral.detection.query import Query, not_tried, verdict
from ancestral.errors import AncestralError, InvalidRequest
from ancestral.formats import ANY_RATE
from ancestral.images.decoding import decode_picture
from ancestral.images.picture import Pictures
from ancestral.loader import LoadedModels, load_models, sampler_of
from ancestral.model import Model
from ancestral.speech.sampler import SpeechResampler, render
from ancestral_models.audio.mu_law import from_int16, to_int16
from ancestral_models.audio.resampler import resampled
from ancestral_models.checkpoint import WEIGHTS, load
from ancestral_models.entries import ACOUSTIC, EDIT_CAPABILITY
from ancestral_models.text import Pronunciations
from ancestral_models.text.phonemes import viseme_of
from deploy.browser.compact import LEVELS, weights

MODELS: Final = Path("/models")
_PROOF_SECONDS: Final = 60.0
Request = Mapping[str, Any]
Event = dict[str, Any]
"""What the page gets; values are JSON or ``bytes``."""


@lru_cache
def _loaded(model: str) -> LoadedModels:
    config = CatalogConfig(directories=(MODELS,))
    entries = config.entries()
    entry = entries[model]
    if not entry.networks:
        return load_models(config, only=model)
    parts = {path.name: load(path, weights=False) for path in entry.path.iterdir() if path.is_dir()}
    acoustic = replace(parts[ACOUSTIC], tensors=weights((entry.path / ACOUSTIC / LEVELS).read_bytes()))
    # A voice's network is there. For the common one, which no voice of the page has, it stands in.
    own = next(path for path in entry.networks.values() if (path / WEIGHTS).exists())
    sampled = replace(load(own), sha256=parts[entry.sampled.name].sha256)
    bands = None if entry.high_band is None else load(entry.high_band)
    found = Checkpoints(sampled, acoustic, None, bands, {name: parts[name].sha256 for name in entry.networks})
    return LoadedModels({model: sampler_of(entry, found)}, config.aliases(entries), Pronunciations({}))


def _model(request: Request) -> Model:
    return Model(_loaded(request["model"]), request["model"])


def _seed(request: Request) -> int:
    return seed_or_drawn(str(request["seed"]))


def _speech(request: Request) -> SpeechModel:
    found = _loaded(request["model"]).models[request["model"]]
    assert isinstance(found, SpeechModel)
    return found


def _prepare(request: Request) -> Iterator[Event]:
    """Read a model and warm it up."""
    loaded = _loaded(request["model"])
    probe = loaded.samplers[request["model"]].warm()
    described = _model(request)
    yield {
        "probe": probe,
        "engine": described.engine,
        "sha256": described.description.sha256,
        "attributes": {name: list(values) for name, values in described.attributes.items()},
        "sheets": described.sheets,
        "edits": getattr(described.description, "size", None) if EDIT_CAPABILITY in described.capabilities else None,
    }


def _speak(request: Request) -> Iterator[Event]:
    """A text as 16-bit sound, sentence by sentence while it is sampled, with the times of its words."""
    sampler, model, seed = _model(request).speech_sampler, _speech(request), _seed(request)
    voice = _model(request).voice(request["voice"])
    said = voice.utterance(request["input"], seed=seed, speed=request["speed"], pitch=request["pitch"])
    resampler, whole, before = SpeechResampler(model, said, model.sound_rate), hashlib.sha256(), 0
    rate = model.spec.sample_rate
    yield {"rate": model.sound_rate, "seed": str(seed), "text": said.written, "skipped": list(said.skipped)}
    for index, part in enumerate(sampler.parts(said)):
        sentence, timing = said.sentences[index], part.timing
        times = [((before + a) / rate, (before + b) / rate) for a, b in timing.words(sentence)]
        words = [
            {"start": start, "end": end, "text_start": word.span[0], "text_end": word.span[1]}
            for word, (start, end) in zip(sentence.words, times, strict=True)
        ]
        visemes = [
            {"viseme": viseme_of(name).oculus, "start": (before + a) / rate, "end": (before + b) / rate}
            for name, (a, b) in timing.phonemes(sentence)
        ]
        yield {"words": words, "visemes": visemes}
        before += timing.length
        for chunk in render(sampler, said, [part]):
            data = to_int16(resampler.feed(index, chunk)).tobytes()
            whole.update(data)
            yield {"sound": data}
    data = to_int16(resampler.finish()).tobytes()
    whole.update(data)
    yield {"sound": data, "sha256": whole.hexdigest()}


def _pictures(request: Request) -> Pictures:
    """What is drawn: a sheet, the rest of a picture, a region of one, or pictures of a prompt."""
    model, prompt = _model(request), request.get("prompt") or "any"
    options: dict[str, Any] = {"seed": _seed(request)}
    if request.get("sheet"):
        return model.draw_sheet(request["sheet"], prompt, **options)
    if request.get("mask"):
        return model.edit(request["image"], request["mask"], prompt, request["n"], **options)
    if request.get("image"):
        return model.complete(request["image"], None, prompt, request["n"], **options)
    return model.draw_many(prompt, request["n"], **options)


def _draw(request: Request) -> Iterator[Event]:
    """Pictures as RGBA, row by row while they are sampled; then files."""
    pictures = _pictures(request)
    shape = {"height": pictures.height, "n": len(pictures)}
    for _ in pictures.rows():
        yield {**shape, "pixels": _rgba(pictures.begun).tobytes()}
    pixels = pictures.pixels
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    made = [
        {
            "seed": str(picture.seed),
            "prompt": picture.prompt,
            "bits": round(picture.bits, 2),
            "file": pictures.file(index, "png"),
        }
        for index, picture in enumerate(pictures)
    ]
    yield {**shape, "pixels": _rgba(pixels).tobytes(), "sha256": digest, "pictures": made}


def _rgba(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey, RGB or RGBA pixels ``[..., C]`` as RGBA."""
    channels = pixels.shape[-1]
    if channels == 4:
        return pixels
    colours = np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels
    return np.concatenate([colours, np.full((*pixels.shape[:-1], 1), 255, np.uint8)], axis=-1)


def _read_wav(data: bytes, rate: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A WAV file of 16 bits, mono, at another rate."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            if (file.getsampwidth(), file.getnchannels()) != (2, 1):
                raise wave.Error("not 16 bits, one channel")
            if not ANY_RATE[0] <= file.getframerate() <= ANY_RATE[1]:
                raise wave.Error(f"its sample rate is {file.getframerate()} Hz")
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768.0)
            return resampled([sound], file.getframerate(), rate).clip(-1.0, 1.0)
    except (wave.Error, EOFError) as error:
        raise InvalidRequest(f"file: a WAV file is needed ({error})", param="file", code="invalid_audio") from error


def _score(request: Request) -> Iterator[Event]:
    """The exact likelihood of a recording or a picture."""
    model = _model(request)
    if request.get("text") is None:
        yield model.score(request["file"], request.get("prompt") or "any")
        return
    voice = model.voice(request["voice"])
    yield voice.score(_read_wav(request["file"], voice.sample_rate), request["text"])


def _prove(request: Request) -> Iterator[Event]:
    """Whether a file came from a seed of a model."""
    models, data = _loaded(request["model"]), request["file"]
    seed, recipe = _seed(request) if request.get("seed") else None, None
    subject: PictureFile | Sound
    if "voice" in request:
        subject = Sound(request["model"], _read_wav(data, _speech(request).spec.sample_rate))
        if seed is not None:
            recipe = {"model": request["model"], "voice": request["voice"], "seed": seed}
    else:
        spec = models.image_model(request["model"], "image_likelihood").spec
        subject = PictureFile([(request["model"], decode_picture(data, spec, "file")[0])])
        # Another program's may be anything.
        with suppress(KeyError, TypeError, ValueError), Image.open(io.BytesIO(data)) as image:
            recipe = dict(json.loads(image.info["recipe"]))
    query = Query(
        seed=seed, recipe=recipe, voice=request.get("voice"), text=request.get("text"), seconds=_PROOF_SECONDS
    )
    answer = {"signature": not_tried("no signatures are read here"), **examine(models, subject, query, None)}
    yield {**answer, "verdict": verdict(answer)}


def _file(request: Request) -> Iterator[Event]:
    """16-bit sound as a WAV file."""
    sound = from_int16(np.frombuffer(request["sound"], "<i2"))
    yield {"file": encode_file([sound], "wav", request["rate"])}


_COMMANDS: Final[Mapping[str, Callable[[Request], Iterator[Event]]]] = {
    "prepare": _prepare, "speak": _speak, "draw": _draw, "score": _score, "prove": _prove, "file": _file,
}  # fmt: skip


def answer(command: str, request: Request) -> Iterator[Event]:
    """The events of a command; the last one is an ``error`` with its ``param`` if the request cannot be followed."""
    given = {name: bytes(value) if isinstance(value, memoryview) else value for name, value in request.items()}
    try:
        yield from _COMMANDS[command](given)
    except AncestralError as error:
        yield {"error": error.message, "param": error.param}

"""Whether a recording was sampled here: by sampling it again, by the noise in it, by its likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.descriptions import SpeechModel
from ancestral.catalog.seeds import part_seed
from ancestral.detection.query import MOST_PARTS, NO_SEEDS, Found, Search, SeedTest, not_tried
from ancestral.errors import InvalidRequest
from ancestral.requests import CONTROLS, AudioRequest, Speak, checked
from ancestral.speech.sampler import RecordingScorer, SpeechResampler, SpeechSampler, Wave, recording_bytes, render
from ancestral.speech.utterance import Utterance, read_text, utterance
from ancestral_models.audio.mu_law import to_int16
from ancestral_models.audio.resampler import resampled
from ancestral_models.audio.shaping import whitened
from ancestral_models.detection import Waves
from ancestral_models.kernels.seed_search import standard_noise
from ancestral_models.text import Sentence

_BEGINNINGS: Final = (0, 1681, 1105)
"""Samples before the first sentence that a search allows for: none, and those that LAME adds to an MP3 at the models'
rate, which the header of a stream does not tell."""
_COUPLINGS: Final = (0.4, 0.2)
"""Correlations of noise and residual that are looked for: of a file as it was made, and of one that codecs changed."""
_CANDIDATES: Final = 8
_SEARCH_SECONDS: Final = 2.0
"""Seconds at the beginning of a recording that a search uses."""
_LONGEST_SECONDS: Final = 30.0
"""Longest sentence."""
_BLOCK_SECONDS: Final = 0.1
_CLEAR_BITS: Final = 60.0
"""Evidence at which another sentence of the same request counts as found."""
_CLOSE: Final = 0.97
"""Correlation of a sound and a lossy file of it: above 0.99 in MP3 and Opus, below 0.53 with another seed."""
_CLOSE_BLOCK: Final = 0.8
"""The same of each block of :data:`_BLOCK` samples that can be heard, so that no part of the sound is another one."""
_BLOCK: Final = 8000
_LOWEST_RATE: Final = 8000
"""Hertz, of telephones and of MP3s with few bits: what such a file lacks of the sound is not compared."""
_AUDIBLE: Final = 1e-3
"""Energy of such a block, of the loudest one's."""
_PLAIN_BITS: Final = 7.0
"""A recording with fewer bits a symbol (of eight) might be the model's."""


@dataclass(frozen=True)
class _FoundInSound(Found):
    offset: int
    """The sample of the recording at which the sentence begins; it may lie before the first."""


class SoundTest(SeedTest[_FoundInSound]):
    """The seed test of one recording. It needs neither text nor voice nor model: only the rate.

    Args:
        wave: ``[T]``, at the rate of the models.
        sample_rate: in hertz.
        search: the seeds.
    """

    def __init__(self, wave: Wave, sample_rate: int, search: Search) -> None:
        super().__init__(search)
        self._waves, self._rate = Waves(whitened(wave, sample_rate)), sample_rate
        self._longest = int(_LONGEST_SECONDS * sample_rate)
        self.shifted = 0
        """Counters that were tried at any offset."""

    def run(self) -> None:
        """Try the seeds that are named, at any offset; then those of the key, at the beginning, then at any offset.

        Of the stages each may raise half as many false alarms as the one before, as in ``PictureTest.run``.
        """
        named = [(seed, part) for seed in self.search.query.named for part in range(MOST_PARTS)]
        self.search.tried += len(named)
        offsets = float(self._longest + len(self._waves.residual))
        for seed, part in named:
            self._anywhere(seed, part, None, 2.0 * offsets * len(named))
            if self.found or self.search.over:
                return
        if not self.search.keyed:
            return
        length = min(len(self._waves.residual), int(_SEARCH_SECONDS * self._rate))
        stage = 2
        for coupling, begin in product(_COUPLINGS, _BEGINNINGS):
            for first, seeds in self.search.blocks():
                self.search.tried += len(seeds)
                for number in self._waves.search(seeds, begin, length, coupling, _CANDIDATES):
                    counter = first + int(number)
                    self._at_start(int(seeds[number]), begin, counter, 2.0**stage * self.search.trials(counter))
                if self.found:
                    return
            stage += 1
        self._everywhere(2.0**stage * offsets)

    def _everywhere(self, trials: float) -> None:
        """The seeds of the key at any offset, as far as there is time; ``trials`` for each that counters count for."""
        for first, seeds in self.search.blocks():
            for number in range(len(seeds) - 1, -1, -1):
                if self.search.over:
                    return
                self.shifted += 1
                self._anywhere(int(seeds[number]), 0, first + number, trials * self.search.trials(first + number))
                if self.found:
                    return

    def _at_start(self, seed: int, begin: int, counter: int, trials: float) -> None:
        """The evidence of the whole recording, its first half, quarter, eighth: behind them a sentence may begin."""
        for share in range(4):
            bits = self._waves.evidence(seed, begin, len(self._waves.residual) >> share)
            self.consider(_FoundInSound(bits, 4.0 * trials, seed, 0, counter, begin))

    def _anywhere(self, seed: int, part: int, counter: int | None, trials: float) -> None:
        offset, bits = self._waves.offsets(part_seed(seed, part), self._longest)
        self.consider(_FoundInSound(bits, trials, seed, part, counter, offset))

    def report(self) -> dict[str, Any]:
        """The part ``seed`` of the answer."""
        answer = self.evidence(len(self._waves.residual))
        if self.shifted:
            answer["shifted_seeds_tried"] = self.shifted
        if self.found and self.best is not None:
            answer |= {
                **self.identity(self.best),
                "offset_seconds": round(self.best.offset / self._rate, 4),
                "agreement": self._agreement(), "agreement_seconds": _BLOCK_SECONDS,
            }  # fmt: skip
        return answer

    def _agreement(self) -> list[float]:
        """The correlation of residual and noise in every tenth of a second, in standard deviations."""
        assert self.best is not None
        r, z = self._waves.residual, np.zeros(len(self._waves.residual))
        begins = [(self.best.offset, self.best.part)]
        for part in range(self.best.part + 1, MOST_PARTS):  # the sentences that follow
            offset, bits = self._waves.offsets(part_seed(self.best.seed, part), len(r))
            if bits < _CLEAR_BITS:
                break
            begins.append((offset, part))
        for start, part in sorted(begins):
            first = max(start, 0)
            z[first:] = standard_noise(part_seed(self.best.seed, part), first - start, len(r) - first)
        block, found = int(_BLOCK_SECONDS * self._rate), []
        for begin in range(0, len(r), block):
            piece = r[begin : begin + block]
            norm = math.sqrt(float(piece @ piece))
            found.append(round(float(piece @ z[begin : begin + block]) / norm, 1) if norm else 0.0)
        return found


def seed_part(wave: Wave, sample_rate: int, search: Search) -> dict[str, Any]:
    """The part ``seed`` of the answer."""
    if not search.query.named and not search.keyed:
        return not_tried(NO_SEEDS)
    test = SoundTest(wave, sample_rate, search)
    test.run()
    return test.report()


def recipe_part(sampler: SpeechSampler, catalog: Catalog, wave: Wave, search: Search) -> dict[str, Any]:
    """The part ``recipe``: whether the sound that the recipe gives is this one."""
    query, model = search.query, sampler.model
    if (recipe := query.recipe) is None:
        return not_tried("the file has no recipe of ours, and none was given")
    if recipe.get("model", model.entry.id) != model.entry.id:
        return not_tried(f"the recipe is of another model, {recipe['model']!s:.80}")
    if recipe.get("model_sha256", model.sha256) != model.sha256:
        return not_tried(f"this server has other weights of {model.entry.id}")
    if sampler.acoustic is None:
        return not_tried("sound without text is not sampled again; its seed is tested all the same")
    text = query.text or recipe.get("input")
    if not isinstance(text, str):
        return not_tried("the recipe in a file does not have the text; give it as text")
    if (seed := next(iter(query.named), None)) is None:
        return not_tried("the recipe has no seed")
    try:
        named = recipe.get("voice", query.voice or model.entry.voices[0].id)
        voice = catalog.voice(model, checked(AudioRequest, {"voice": named}).voice_id)
        controls = {name: recipe[name] for name in ("temperature", *CONTROLS) if recipe.get(name) is not None}
        said = utterance(catalog, model, voice, text, checked(Speak, {"seed": seed, **controls}), "text")
    except InvalidRequest as error:
        return not_tried(f"the recipe cannot be followed: {error.message}")
    chunks = list[tuple[int, Wave]]()
    for index, part in enumerate(sampler.parts(said)):
        for chunk in render(sampler, said, [part]):
            if search.over:
                return not_tried("there was no time to sample it again")
            chunks.append((index, chunk))
    again = np.concatenate([chunk for _, chunk in chunks])
    own_rate = np.array_equal(np.rint(wave * 32768.0), to_int16(again))
    if own_rate or np.array_equal(wave, _read_of_a_file(model, said, chunks)):
        return {"status": "equal", "samples": len(wave), "correlation": 1.0}
    rate, found = model.spec.sample_rate, _correlated(wave, again)
    if found["status"] == "close":
        return found
    narrow = resampled([resampled([again], rate, _LOWEST_RATE)], _LOWEST_RATE, rate)
    return max(found, _correlated(wave, narrow), key=lambda each: each["correlation"])


def _read_of_a_file(model: SpeechModel, said: Utterance, chunks: Iterable[tuple[int, Wave]]) -> Wave:
    """What decoding gives of a lossless file with this sound at its default rate."""
    resampler = SpeechResampler(model, said, model.sound_rate)
    written = to_int16(np.concatenate([*(resampler.feed(*chunk) for chunk in chunks), resampler.finish()]))
    sound = written.astype(np.float32) / np.float32(32768.0)
    return resampled([sound], model.sound_rate, model.spec.sample_rate).clip(-1.0, 1.0)


def _correlated(wave: Wave, again: Wave) -> dict[str, Any]:
    """How two sounds agree that differ: their correlation at the best offset, which tells a lossy file, or another
    rate, from another sound.

    Args:
        wave: of a file, where 1 is 32768 (ancestral/codecs/decoding.py).
        again: sampled.
    """
    size = 1 << (len(wave) + len(again) - 1).bit_length()
    products = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(again, size).conj(), size)
    norm = float(np.linalg.norm(wave) * np.linalg.norm(again))
    best = int(products.argmax())
    correlation = float(products[best]) / norm if norm else 0.0
    offset = best if best < len(wave) else best - size
    return {
        "status": "close" if correlation > _CLOSE and _close_throughout(wave, again, offset) else "differs",
        "samples": len(wave),
        "correlation": round(correlation, 4),
    }


def _close_throughout(wave: Wave, again: Wave, offset: int) -> bool:
    """Whether two sounds are close in every block; ``wave`` is behind by so many samples."""
    one, other = wave[max(offset, 0) :], again[max(-offset, 0) :]
    length = min(len(one), len(other))
    if max(len(wave), len(again)) - length > _BLOCK:
        return False
    edges = range(0, length, _BLOCK)
    products = [np.add.reduceat(a[:length].astype(np.float64) * b[:length], edges) for a, b in
                ((one, other), (one, one), (other, other))]  # fmt: skip
    energy = np.maximum(products[1], products[2])
    heard = energy > _AUDIBLE * energy.max()
    return bool((products[0] > _CLOSE_BLOCK * np.sqrt(products[1] * products[2]))[heard].all())


def model_part(sampler: SpeechSampler, catalog: Catalog, wave: Wave, search: Search) -> dict[str, Any]:
    """The part ``model``: how likely the recording is under a model, beside the eight bits of its symbols."""
    model, query = sampler.model, search.query
    if query.voice is None or (query.text is None and sampler.acoustic is not None):
        return not_tried("the likelihood of a recording needs voice and text")
    try:
        voice, sentences = catalog.voice(model, query.voice), list[Sentence]()
        if query.text is not None and sampler.acoustic is not None:
            _, sentences = read_text(query.text, catalog.pronunciations, "text", voice.language)
        scorer = RecordingScorer(sampler, voice.id, sentences, recording_bytes(wave, model.spec))
    except InvalidRequest as error:
        return not_tried(error.message)
    for _ in scorer.blocks():
        if search.over:
            return not_tried("there was no time to score it")
    bits = float(-scorer.nats.mean() / math.log(2.0))
    return {
        "status": "could_be_ours" if bits < _PLAIN_BITS else "unlikely",
        "model": model.entry.id,
        "bits_per_symbol": round(bits, 4),
        "lossless_bits_per_symbol": 8.0,
    }

"""``ancestral evaluate speech``, ``voices`` and ``listen``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import click_errors, model_options
from ancestral.errors import AncestralError

if TYPE_CHECKING:
    from ancestral.catalog.catalog import CatalogConfig
    from ancestral.model import Model
    from ancestral.models.engines.base import Array
    from ancestral.models.engines.speech.engine import SpeechEngine
    from ancestral.speech.sampler import SpeechSampler
    from ancestral.speech.utterance import Utterance
    from ancestral.speech.voice import Speech
    from ancestral.training.evaluation.listener import Listener
    from ancestral.training.evaluation.listening import Heard
    from ancestral.training.evaluation.speech import OpinionJudge, Wave

_RESPONSE_SENTENCES = 10
"""Sentences that are spoken for every shift of F0."""
_CORPUS = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--voice", required=True, help="The voice to evaluate.")
@click.option(
    "--corpus", type=_CORPUS, required=True, help="The voice's corpus; its held-out clips are spoken and compared."
)
@click.option("--sentences", type=click.IntRange(1), default=40, show_default=True)
@click.option("--temperature", type=click.FloatRange(0.0, 2.0), help="Default: the model's own.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Write the sound into this folder.")
@model_options
def speech(
    model: str, voice: str, corpus: Path, sentences: int, temperature: float | None, keep: Path | None,
    config: CatalogConfig, engine: str,
) -> None:  # fmt: skip
    """Print a JSON report: word and character errors, distillmos, DNSMOS, F0 and voicing, speed, bits per sample; the
    teacher's beside them, and those of the model on the recordings' own frames (``copy_synthesis``). ``f0_response`` is
    F0 measured over F0 requested, for F0 × 0.85, 1 and 1.15."""
    from ancestral.model import load_from

    with click_errors(AncestralError, ImportError, ValueError):
        loaded = load_from(config, model, engine)
        report = speech_report(loaded, voice, corpus, sentences, temperature, keep)
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))


def speech_report(
    model: Model, voice: str, corpus: Path, sentences: int, temperature: float | None, keep: Path | None
) -> dict[str, Any]:
    """What judges say of a voice and of its recordings; see :func:`speech`.

    Raises:
        ValueError: there is no such model or voice, or the corpus holds out no clips.
        ImportError: a judge is not installed.
    """
    from ancestral.models.spec import FeatureSpec
    from ancestral.training.evaluation.listener import Listener
    from ancestral.training.evaluation.speech import OpinionJudge, frames_of, recordings

    judges = Listener(), OpinionJudge()
    sampler, clips = model.speech_sampler, recordings(corpus, sentences)
    language = model.voice(voice).language
    speeches = [
        model.voice(voice).speak(text, seed=seed, temperature=temperature) for seed, (text, _) in enumerate(clips)
    ]
    utterances = [speech.utterance for speech in speeches]
    made = [_timed(speech) for speech in speeches]
    real = [wave for _, wave in clips]
    frames = frames_of(real, FeatureSpec())
    copied = [_copy(sampler, utterance, of_wave) for utterance, of_wave in zip(utterances, frames, strict=True)]
    waves = [wave for wave, _, _ in made]
    if keep:
        _keep(keep, waves)
    texts = [text for text, _ in clips]
    return {
        "model": model.id, "sha256": model.description.sha256, "engine": sampler.engine.name, "voice": voice,
        "sentences": len(clips), "temperature": utterances[0].temperature,
        **_judged(texts, waves, *judges, language),
        "real_time_factor": sum(map(len, waves)) / sampler.model.spec.sample_rate / sum(spent for _, _, spent in made),
        "time_to_first_audio_seconds": sorted(first for _, first, _ in made)[len(made) // 2],
        "bits_per_sample": _bits(sampler.network, voice, real, frames),
        "f0_response": _f0_response(sampler, utterances[:_RESPONSE_SENTENCES]),
        "copy_synthesis": _judged(texts, copied, *judges, language),
        "teacher": _judged(texts, real, *judges, language),
    }  # fmt: skip


@click.command()
@click.argument("corpora", type=_CORPUS, nargs=-1, required=True)
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--sentences", type=click.IntRange(1), default=10, show_default=True, help="For each voice.")
@model_options
def voices(corpora: tuple[Path, ...], model: str, sentences: int, config: CatalogConfig, engine: str) -> None:
    """Print how often each voice is recognised; CORPORA are one folder per voice, named like it."""
    from ancestral.model import load_from
    from ancestral.training.evaluation.speech import VoiceJudge

    with click_errors(AncestralError, ValueError):
        spoken = _spoken(corpora, load_from(config, model, engine), sentences)
    judge = VoiceJudge({voice: [sentence.recording for sentence in heard] for voice, heard in spoken.items()})
    report = {}
    for voice, heard in spoken.items():
        verdicts = [judge.voice_of(sentence.voice) for sentence in heard]
        report[voice] = {
            "recognised": sum(found == voice for found, _ in verdicts) / len(verdicts),
            "similarity": sum(similarity for _, similarity in verdicts) / len(verdicts),
        }
    click.echo(json.dumps(report, indent=2))


@click.command()
@click.argument("corpora", type=_CORPUS, nargs=-1, required=True)
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--sentences", type=click.IntRange(1), default=2, show_default=True, help="For each voice.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@model_options
def listen(
    corpora: tuple[Path, ...], model: str, sentences: int, output: Path,
    config: CatalogConfig, engine: str,
) -> None:  # fmt: skip
    """Write a page (README.md, sounds, spectrograms) with each voice beside its recordings.

    CORPORA are one folder per voice, named like it.
    """
    from ancestral.model import load_from
    from ancestral.training.evaluation.listening import write_listening_page

    with click_errors(AncestralError, ValueError):
        loaded = load_from(config, model, engine)
        spoken = _spoken(corpora, loaded, sentences)
    write_listening_page(output, model, loaded.description.sha256, spoken)


def _spoken(corpora: Sequence[Path], model: Model, sentences: int) -> dict[str, list[Heard]]:
    """Held-out sentences of each corpus, spoken by the voice of its name."""
    from ancestral.training.evaluation.listening import Heard
    from ancestral.training.evaluation.speech import recordings

    real = {corpus.name: recordings(corpus, sentences) for corpus in corpora}
    return {
        voice: [
            Heard(text, model.voice(voice).speak(text, seed=seed).samples, recording)
            for seed, (text, recording) in enumerate(clips)
        ]
        for voice, clips in real.items()
    }


def _timed(speech: Speech) -> tuple[Wave, float, float]:
    """The sound, the seconds to its first chunk and to its last."""
    start, first = time.perf_counter(), 0.0
    for _ in speech:
        first = first or time.perf_counter() - start
    return speech.samples, first, time.perf_counter() - start


def _copy(sampler: SpeechSampler, utterance: Utterance, frames: Array) -> Wave:
    """Copy-synthesis: the sound that the WaveNet makes of a recording's own frames. The acoustic model has no part in
    it, so that the difference to the spoken text is what that model costs."""
    import numpy as np

    from ancestral.speech.sampler import render

    part = sampler.part_from_frames(utterance, 0, frames, np.array([len(frames)]))
    return np.concatenate(list(render(sampler, utterance, [part])))


def _judged(
    texts: Sequence[str], waves: Sequence[Wave], listener: Listener, judge: OpinionJudge, language: str
) -> dict[str, Any]:
    from ancestral.models.spec import FeatureSpec
    from ancestral.training.evaluation.pitch import measure_pitch
    from ancestral.training.evaluation.speech import error_rates, noise_score

    heard = [listener.transcribe(wave, language) for wave in waves]
    pitch = measure_pitch(waves, FeatureSpec())._asdict()
    scores = {"distillmos": judge.score(waves), "dnsmos": noise_score(waves)}
    return {**error_rates(texts, heard, language), **scores, **pitch, "heard": heard}


def _f0_response(sampler: SpeechSampler, utterances: Sequence[Utterance]) -> dict[str, float] | None:
    """F0 of the sound over the F0 of the frames, for several shifts; None for a model whose pitch cannot be changed."""
    import numpy as np

    from ancestral.models.engines.speech.engine import StreamRequest
    from ancestral.models.spec import FeatureSpec
    from ancestral.speech.sampler import render
    from ancestral.training.evaluation.pitch import RESPONSES, f0_response

    if not sampler.model.pitch_control:
        return None
    found = {}
    for factor in RESPONSES:
        waves, frames = [], []
        for utterance in utterances:
            parts = list(sampler.parts(replace(utterance, pitch=12.0 * math.log2(factor))))
            waves.append(np.concatenate(list(render(sampler, utterance, parts))))
            requests = [part.request for part in parts if isinstance(part.request, StreamRequest)]
            frames.append(np.concatenate([request.frames for request in requests if request.frames is not None]))
        found[str(factor)] = f0_response(waves, frames, FeatureSpec())
    return found


def _bits(engine: SpeechEngine, voice: str, waves: Sequence[Wave], frames: Sequence[Array]) -> float | None:
    """Bits per sample of the recordings; None on an engine that does not score."""
    from ancestral.models.engines.speech.native import NativeEngine
    from ancestral.models.spec import FeatureSpec
    from ancestral.training.evaluation.speech import bits_per_sample

    if not isinstance(engine, NativeEngine):
        return None
    return bits_per_sample(engine, waves, frames, engine.spec.speakers.index(voice), FeatureSpec())


def _keep(folder: Path, waves: Sequence[Wave]) -> None:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number:03d}.wav", wave, 16000)

"""``ancestral evaluate``: what an ASR hears, how clean it is, how fast, and how likely real recordings are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.commands import explained

if TYPE_CHECKING:
    from models.training.evaluation import Listener, Wave
    from service.synthesis import Synthesizer, Utterance

_CORPUS = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(short_help="Judge a model's speech.")
def command() -> None:
    """Judge a model's speech against the recordings it was taught with."""


@command.command()
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--voice", required=True, help="The voice to judge.")
@click.option("--asr", type=_CORPUS, required=True, help="A CTranslate2 folder of a Whisper model.")
@click.option(
    "--corpus", type=_CORPUS, required=True, help="The voice's corpus; its held-out clips are read and compared."
)
@click.option("--sentences", type=click.IntRange(1), default=40, show_default=True)
@click.option("--temperature", type=click.FloatRange(0.0, 2.0), help="The model's own if absent.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Write the sound into this folder.")
def speech(
    model: str, voice: str, asr: Path, corpus: Path, sentences: int, temperature: float | None, keep: Path | None
) -> None:
    """Print a JSON report: word and character errors, DNSMOS, speed, bits per sample; the teacher's beside them."""
    from models.checkpoint import CheckpointError
    from models.library import LibraryError
    from models.training.evaluation import Listener, recordings
    from service.errors import ServiceError
    from service.settings import SettingsError, load_settings
    from service.synthesis import load_synthesizer, prepare

    with explained(SettingsError, LibraryError, CheckpointError, ServiceError, ValueError):
        synthesizer = load_synthesizer(load_settings(), only=lambda entry: entry.id == model)
        clips = recordings(corpus, sentences)
        utterances = [
            prepare(synthesizer, model, voice, text, seed, temperature=temperature)
            for seed, (text, _) in enumerate(clips)
        ]
    made = [_speak(synthesizer, utterance) for utterance in utterances]
    waves = [wave for wave, _, _ in made]
    if keep:
        _keep(keep, waves)
    texts, listener = [text for text, _ in clips], Listener(asr)
    loaded = synthesizer.samplers[model]
    report: dict[str, Any] = {
        "model": model, "sha256": loaded.model.sha256, "engine": loaded.engine.name, "voice": voice,
        "sentences": len(clips), "temperature": utterances[0].temperature,
        **_judged(texts, waves, listener),
        "real_time_factor": sum(map(len, waves)) / loaded.model.spec.sample_rate / sum(spent for _, _, spent in made),
        "time_to_first_audio_seconds": sorted(first for _, first, _ in made)[len(made) // 2],
        "bits_per_sample": _bits(synthesizer, model, voice, [wave for _, wave in clips]),
        "teacher": _judged(texts, [wave for _, wave in clips], listener),
    }  # fmt: skip
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))


@command.command()
@click.argument("corpora", type=_CORPUS, nargs=-1, required=True)
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--sentences", type=click.IntRange(1), default=10, show_default=True, help="For each voice.")
def voices(corpora: tuple[Path, ...], model: str, sentences: int) -> None:
    """Print how often each voice is told from the others; CORPORA are one folder a voice, named like it."""
    from models.training.evaluation import VoiceJudge, recordings
    from service.settings import load_settings
    from service.synthesis import load_synthesizer, prepare

    with explained(ValueError):
        synthesizer = load_synthesizer(load_settings(), only=lambda entry: entry.id == model)
        real = {corpus.name: recordings(corpus, sentences) for corpus in corpora}
    judge = VoiceJudge({voice: [wave for _, wave in clips] for voice, clips in real.items()})
    report = {}
    for voice, clips in real.items():
        spoken = [prepare(synthesizer, model, voice, text, seed) for seed, (text, _) in enumerate(clips)]
        verdicts = [judge.voice_of(_speak(synthesizer, utterance)[0]) for utterance in spoken]
        report[voice] = {
            "recognised": sum(found == voice for found, _ in verdicts) / len(verdicts),
            "similarity": sum(similarity for _, similarity in verdicts) / len(verdicts),
        }
    click.echo(json.dumps(report, indent=2))


def _speak(synthesizer: Synthesizer, utterance: Utterance) -> tuple[Wave, float, float]:
    """The sound, the seconds to its first chunk and to its last."""
    import numpy as np

    start, first, waves = time.perf_counter(), 0.0, []
    for wave in synthesizer.render(utterance):
        first = first or time.perf_counter() - start
        waves.append(wave)
    return np.concatenate(waves), first, time.perf_counter() - start


def _judged(texts: Sequence[str], waves: Sequence[Wave], listener: Listener) -> dict[str, Any]:
    from models.training.evaluation import error_rates, noise_score

    heard = [listener.transcribe(wave) for wave in waves]
    return {**error_rates(texts, heard), "dnsmos": noise_score(waves), "heard": heard}


def _bits(synthesizer: Synthesizer, model: str, voice: str, waves: Sequence[Wave]) -> float | None:
    """Bits per sample of the recordings; None on an engine that does not score."""
    from models.engines.native import NativeEngine
    from models.spec import FeatureSpec
    from models.training.evaluation import bits_per_sample

    engine = synthesizer.samplers[model].engine
    if not isinstance(engine, NativeEngine):
        return None
    return bits_per_sample(engine, waves, engine.spec.speakers.index(voice), FeatureSpec())


def _keep(folder: Path, waves: Sequence[Wave]) -> None:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number:03d}.wav", wave, 16000)

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

from ancestral.command_line import explained

if TYPE_CHECKING:
    from ancestral.models.engines.base import Array
    from ancestral.models.engines.speech.engine import SpeechEngine
    from ancestral.service.speech.payloads import SpeechPayload
    from ancestral.service.speech.sampler import SpeechSampler
    from ancestral.training.evaluation.listening import Heard
    from ancestral.training.evaluation.speech import Listener, OpinionJudge, Wave

_RESPONSE_SENTENCES = 10
"""That are spoken for every shift of F0."""
_CORPUS = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--voice", required=True, help="The voice to evaluate.")
@click.option("--asr", type=_CORPUS, required=True, help="A CTranslate2 folder of a Whisper model.")
@click.option(
    "--corpus", type=_CORPUS, required=True, help="The voice's corpus; its held-out clips are spoken and compared."
)
@click.option("--sentences", type=click.IntRange(1), default=40, show_default=True)
@click.option("--temperature", type=click.FloatRange(0.0, 2.0), help="Default: the model's own.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Write the sound into this folder.")
def speech(
    model: str, voice: str, asr: Path, corpus: Path, sentences: int, temperature: float | None, keep: Path | None
) -> None:
    """Print a JSON report: word and character errors, distillmos, DNSMOS, F0 and voicing, speed, bits per sample; the
    teacher's beside them, and those of the model on the recordings' own frames (``copy_synthesis``). ``f0_response`` is
    F0 measured over F0 requested, for F0 × 0.85, 1 and 1.15."""
    from ancestral.models.checkpoint import CheckpointError
    from ancestral.models.library import LibraryError
    from ancestral.service.errors import ServiceError
    from ancestral.service.settings import SettingsError

    with explained(SettingsError, LibraryError, CheckpointError, ServiceError, ImportError, ValueError):
        report = speech_report(model, voice, asr, corpus, sentences, temperature, keep)
    click.echo(json.dumps(report, indent=2, ensure_ascii=False))


def speech_report(
    model: str, voice: str, asr: Path, corpus: Path, sentences: int, temperature: float | None, keep: Path | None
) -> dict[str, Any]:
    """What judges say of a voice and of its recordings; see :func:`speech`.

    Raises:
        ValueError: there is no such model or voice, or the corpus holds out no clips.
        ImportError: a judge is not installed.
    """
    from ancestral.models.spec import FeatureSpec
    from ancestral.service.settings import load_settings
    from ancestral.service.speech.requests import prepare
    from ancestral.service.worker.model_loader import load_models
    from ancestral.training.evaluation.speech import Listener, OpinionJudge, frames_of, recordings

    judges = Listener(asr), OpinionJudge()
    loaded_models = load_models(load_settings(), only=lambda entry: entry.id == model)
    clips = recordings(corpus, sentences)
    utterances = [
        prepare(loaded_models, model, voice, text, seed, temperature=temperature)
        for seed, (text, _) in enumerate(clips)
    ]
    loaded = loaded_models.sound(loaded_models.speech_model(model, "speech"))
    made = [_speak(loaded, utterance) for utterance in utterances]
    real = [wave for _, wave in clips]
    frames = frames_of(real, FeatureSpec())
    copied = [_copy(loaded, utterance, of_wave) for utterance, of_wave in zip(utterances, frames, strict=True)]
    waves = [wave for wave, _, _ in made]
    if keep:
        _keep(keep, waves)
    texts = [text for text, _ in clips]
    return {
        "model": model, "sha256": loaded.model.sha256, "engine": loaded.engine.name, "voice": voice,
        "sentences": len(clips), "temperature": utterances[0].temperature,
        **_judged(texts, waves, *judges),
        "real_time_factor": sum(map(len, waves)) / loaded.model.spec.sample_rate / sum(spent for _, _, spent in made),
        "time_to_first_audio_seconds": sorted(first for _, first, _ in made)[len(made) // 2],
        "bits_per_sample": _bits(loaded.network, voice, real, frames),
        "f0_response": _f0_response(loaded, utterances[:_RESPONSE_SENTENCES]),
        "copy_synthesis": _judged(texts, copied, *judges),
        "teacher": _judged(texts, real, *judges),
    }  # fmt: skip


@click.command()
@click.argument("corpora", type=_CORPUS, nargs=-1, required=True)
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--sentences", type=click.IntRange(1), default=10, show_default=True, help="For each voice.")
def voices(corpora: tuple[Path, ...], model: str, sentences: int) -> None:
    """Print how often each voice is recognised; CORPORA are one folder per voice, named like it."""
    from ancestral.training.evaluation.speech import VoiceJudge

    _, spoken = _spoken(corpora, model, sentences)
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
def listen(corpora: tuple[Path, ...], model: str, sentences: int, output: Path) -> None:
    """Write a page (README.md, sounds, spectrograms) with each voice beside its recordings.

    CORPORA are one folder per voice, named like it.
    """
    from ancestral.training.evaluation.listening import write_listening_page

    sampler, spoken = _spoken(corpora, model, sentences)
    write_listening_page(output, model, sampler.model.sha256, spoken)


def _spoken(corpora: Sequence[Path], model: str, sentences: int) -> tuple[SpeechSampler, dict[str, list[Heard]]]:
    """Held-out sentences of each corpus, spoken by the voice of its name."""
    from ancestral.service.settings import load_settings
    from ancestral.service.speech.requests import prepare
    from ancestral.service.worker.model_loader import load_models
    from ancestral.training.evaluation.listening import Heard
    from ancestral.training.evaluation.speech import recordings

    with explained(ValueError):
        loaded_models = load_models(load_settings(), only=lambda entry: entry.id == model)
        sampler = loaded_models.sound(loaded_models.speech_model(model, "speech"))
        real = {corpus.name: recordings(corpus, sentences) for corpus in corpora}
    return sampler, {
        voice: [
            Heard(text, _speak(sampler, prepare(loaded_models, model, voice, text, seed))[0], recording)
            for seed, (text, recording) in enumerate(clips)
        ]
        for voice, clips in real.items()
    }


def _speak(sampler: SpeechSampler, payload: SpeechPayload) -> tuple[Wave, float, float]:
    """The sound, the seconds to its first chunk and to its last."""
    import numpy as np

    from ancestral.service.speech.sampler import render

    start, first, waves = time.perf_counter(), 0.0, []
    for wave in render(sampler, payload):
        first = first or time.perf_counter() - start
        waves.append(wave)
    return np.concatenate(waves), first, time.perf_counter() - start


def _copy(sampler: SpeechSampler, payload: SpeechPayload, frames: Array) -> Wave:
    """Copy-synthesis: the sound that the WaveNet makes of a recording's own frames. The acoustic model has no part in
    it, so that the difference to the spoken text is what that model costs."""
    import numpy as np

    from ancestral.service.speech.sampler import render

    part = sampler.framed(payload, 0, frames, np.array([len(frames)]))
    return np.concatenate(list(render(sampler, payload, [part])))


def _judged(texts: Sequence[str], waves: Sequence[Wave], listener: Listener, judge: OpinionJudge) -> dict[str, Any]:
    from ancestral.models.spec import FeatureSpec
    from ancestral.training.evaluation.pitch import measure_pitch
    from ancestral.training.evaluation.speech import error_rates, noise_score

    heard = [listener.transcribe(wave) for wave in waves]
    pitch = measure_pitch(waves, FeatureSpec())._asdict()
    scores = {"distillmos": judge.score(waves), "dnsmos": noise_score(waves)}
    return {**error_rates(texts, heard), **scores, **pitch, "heard": heard}


def _f0_response(sampler: SpeechSampler, payloads: Sequence[SpeechPayload]) -> dict[str, float] | None:
    """F0 of the sound over the F0 of the frames, for several shifts; None for a model whose pitch cannot be changed."""
    import numpy as np

    from ancestral.models.engines.speech.engine import StreamRequest
    from ancestral.models.spec import FeatureSpec
    from ancestral.service.speech.sampler import render
    from ancestral.training.evaluation.pitch import RESPONSES, f0_response

    if not sampler.model.pitch_control:
        return None
    found = {}
    for factor in RESPONSES:
        waves, frames = [], []
        for payload in payloads:
            parts = list(sampler.parts(replace(payload, pitch=12.0 * math.log2(factor))))
            waves.append(np.concatenate(list(render(sampler, payload, parts))))
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

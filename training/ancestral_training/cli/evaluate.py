"""``ancestral evaluate``: word errors or class accuracy of samples, speed, likelihood of real data."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ancestral.command_line import click_errors, field_options, model_options
from ancestral.errors import AncestralError
from ancestral.requests import Draw
from ancestral_models.entries import MANIFEST, ModelEntry
from ancestral_models.spec import FeatureSpec

if TYPE_CHECKING:
    from ancestral.catalog.catalog import CatalogConfig
    from ancestral.model import Model
    from ancestral.speech.sampler import SpeechSampler
    from ancestral.speech.utterance import Utterance
    from ancestral.speech.voice import Speech
    from ancestral_models.checkpoint import Checkpoint
    from ancestral_models.classification import PictureClassifier
    from ancestral_models.engines.base import Array
    from ancestral_training.evaluation.speech import Heard, Listener, OpinionJudge, Wave
    from ancestral_training.tasks.pictures import ImageTask


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PICTURES = click.Path(exists=True, path_type=Path)
_GUIDANCES = (1.0, 1.5, 2.0, 3.0)
_DEFAULT = "Default: that of the model.json beside CHECKPOINT, or 1."


@click.command()
@click.argument("checkpoint", type=_FOLDER)
@click.option("--data", type=_PICTURES, required=True, help="The training data of CHECKPOINT.")
@click.option(
    "--pictures",
    type=click.IntRange(0),
    help="Test pictures whose likelihood is computed; 0 leaves it out. Default: all.",
)
@click.option(
    "--drawn", type=click.IntRange(0), default=100, show_default=True, help="Samples of each class; 0 leaves them out."
)
@field_options(Draw, "temperature", "guidance", help=f"For the samples. {_DEFAULT}")
@click.option("--named", type=click.IntRange(0), default=0, help="Samples with everything named, for each guidance.")
@click.option("--classifier", type=_FOLDER, help="Of real pictures. Default: classifier/ beside CHECKPOINT.")
@click.option("--card", is_flag=True, help="Put the sheet beside CHECKPOINT's card, and show it there.")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def images(
    checkpoint: Path, data: Path, pictures: int | None, drawn: int, temperature: float | None, guidance: float | None,
    named: int, classifier: Path | None, card: bool, output: Path,
) -> None:  # fmt: skip
    """Evaluate CHECKPOINT, an image network with attributes: write report.json and a sheet into a folder.

    The first attribute is called the class here; the others of sampled pictures are drawn from what occurred
    together in training. Measured are the likelihood of real test pictures in nats and bits (conditional,
    unconditional, summed over the classes; beside it that of independent pixels and of PNG); how well a classifier
    of real pictures recognises each attribute, of real and of sampled pictures. As many more are sampled for the
    labels of test pictures: precision and recall in the classifier's features, and how near they are to training
    pictures, both compared with test pictures. The sheet is ten sampled pictures of every class (sheet.png).

    With --named so many pictures are sampled with every attribute named, all values alike, without guidance and with
    1.5, 2 and 3: how well each attribute is recognised, and how often all are.

    The classifier is the model's own (classifier/ beside CHECKPOINT), or is trained anew, which takes minutes. Where
    every attribute has one value, there is none, and nothing that needs it is measured.

    CHECKPOINT may also be a network that draws from pictures. The report then says how likely test pictures are given
    their own vectors or, of portraits, another picture of the same person; and of portraits how often those of as many
    test pictures as --drawn says lead to another real picture of the same person. The rows of the sheet are originals,
    and four samples of each.
    """
    from ancestral_models import checkpoint as checkpoints
    from ancestral_models.engines import load_image_engine
    from ancestral_training.evaluation import images as judges
    from ancestral_training.model_card import SHEET
    from ancestral_training.tasks.pictures import ImageTask

    with click_errors(ValueError):
        loaded = checkpoints.load(checkpoint)
        engine = load_image_engine("native", loaded)
        entry = _entry_beside(checkpoint)
        temperature = _given_or(temperature, 1.0 if entry is None else entry.temperature)
        guidance = _given_or(guidance, 1.0 if entry is None else entry.guidance)
        if engine.spec.encoder is not None:
            if guidance != 1.0 or named or classifier:
                raise ValueError("guidance, named, classifier: a network that draws from pictures has no classes")
            if pictures == 0 or not drawn:
                raise ValueError("pictures, drawn: of a network that draws from pictures at least one")
            found = judges.reconstruction_report(loaded, engine, data, output, drawn, pictures, temperature)
            _finish(loaded, found, output, card=card)
            return
        task = ImageTask(engine.spec, data)
        test = task.held_out(task.pictures.test, pictures)
        if not engine.spec.attributes:
            raise ValueError(f"{checkpoint}: the model has no attributes")
        if card and not drawn:
            raise ValueError("drawn: the card shows samples of each class")
        judge = classifier or (None if entry is None else entry.classifier)
        judged_by, sha256 = _classifier(judge, task) if drawn or named or classifier else (None, None)
        if judged_by is None and named:
            raise ValueError("named: every attribute of the model has one value")
    report: dict[str, Any] = {"sha256": loaded.sha256, "engine": engine.name, "classifier_sha256": sha256}
    if len(test.images):
        report |= {"pictures": len(test.images), **judges.likelihood_figures(loaded, task, test)}
    report["temperature"] = temperature
    output.mkdir(parents=True, exist_ok=True)
    if drawn:
        made, seconds = judges.draw_classes(engine, drawn, temperature, guidance)
        matched = judges.draw_matched(engine, task.pictures.test, len(made.images), temperature, guidance)
        compared = judges.fidelity_figures(task, made, matched, judged_by)
        report |= {"guidance": guidance, "seconds_per_picture": seconds, **compared}
        judges.write_classes(made, engine.spec, output / SHEET)
    if named and judged_by is not None:
        all_named = {strength: judges.draw_named(engine, named, temperature, strength) for strength in _GUIDANCES}
        report["named"] = judges.named_figures(task, all_named, judged_by)
    _finish(loaded, report, output, card=card)


def _entry_beside(checkpoint: Path) -> ModelEntry | None:
    """The model that a checkpoint is of, if its folder is a model's."""
    folder = checkpoint.absolute().parent
    return ModelEntry.read(folder) if (folder / MANIFEST).is_file() else None


def _given_or(value: float | None, default: float) -> float:
    return default if value is None else value


def _classifier(path: Path | None, task: ImageTask) -> tuple[PictureClassifier | None, str | None]:
    """A classifier and the hash of its weights; without a path, one that is trained here, if there is a choice of
    values.

    Raises:
        ValueError: the checkpoint is damaged, or that of a classifier of other pictures.
    """
    from ancestral_models import checkpoint as checkpoints
    from ancestral_models.architectures.classifier import ClassifierSpec, shared_fields
    from ancestral_models.classification import PictureClassifier
    from ancestral_training.evaluation.images import train_classifier
    from ancestral_training.loop import require_spec

    if path is None:
        if all(len(values) == 1 for _, values in task.spec.attributes):
            return None, None
        return train_classifier(task.pictures.train, ClassifierSpec(**shared_fields(task.spec))), None
    loaded = checkpoints.load(path)
    spec = loaded.spec_as(ClassifierSpec)
    require_spec(path, spec, replace(spec, **shared_fields(task.spec)))
    return PictureClassifier(spec, loaded.tensors), loaded.sha256


def _finish(loaded: Checkpoint, report: dict[str, Any], output: Path, *, card: bool) -> None:
    """Write and print the report; put the sheet beside the checkpoint's card, and into it, if that is wanted. The
    weights are unchanged."""
    from ancestral_models import checkpoint as checkpoints
    from ancestral_training.model_card import SHEET, with_sheet

    text = json.dumps(report, indent=2)
    (output / "report.json").write_text(text + "\n")
    click.echo(text)
    if card:
        checkpoints.save(loaded.path, loaded.spec, loaded.tensors, with_sheet(loaded.card), half=loaded.half)
        (loaded.path / SHEET).write_bytes((output / SHEET).read_bytes())


_RESPONSE_SENTENCES = 10
"""Sentences that are spoken for every shift of F0."""


@click.command()
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--voice", required=True, help="The voice to evaluate.")
@click.option(
    "--corpus", type=_FOLDER, required=True, help="The voice's corpus; its held-out clips are spoken and compared."
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
    from ancestral_training.evaluation.speech import Listener, OpinionJudge, bits_per_sample, frames_of, recordings

    judges = Listener(), OpinionJudge()
    sampler, speaking = model.speech_sampler, model.voice(voice)
    language, speaker = speaking.language, sampler.network.spec.speakers.index(speaking.id)
    clips = recordings(corpus, sentences, language)
    speeches = [speaking.speak(text, seed=seed, temperature=temperature) for seed, (text, _) in enumerate(clips)]
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
        "bits_per_sample": bits_per_sample(sampler.network, real, frames, speaker, FeatureSpec()),
        "f0_response": _f0_response(sampler, utterances[:_RESPONSE_SENTENCES]),
        "copy_synthesis": _judged(texts, copied, *judges, language),
        "teacher": _judged(texts, real, *judges, language),
    }  # fmt: skip


@click.command()
@click.argument("corpora", type=_FOLDER, nargs=-1, required=True)
@click.option("--model", default="wavenet-en", show_default=True, help="A model's id.")
@click.option("--sentences", type=click.IntRange(1), default=10, show_default=True, help="For each voice.")
@model_options
def voices(corpora: tuple[Path, ...], model: str, sentences: int, config: CatalogConfig, engine: str) -> None:
    """Print how often each voice is recognised; CORPORA are one folder per voice, named like it."""
    from ancestral.model import load_from
    from ancestral_training.evaluation.speech import RATE, VoiceJudge

    with click_errors(AncestralError, ImportError, ValueError):
        import resemblyzer  # noqa: F401  # the judge: where it is missing, nothing is spoken

        spoken = _spoken(corpora, load_from(config, model, engine), sentences, RATE)
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
@click.argument("corpora", type=_FOLDER, nargs=-1, required=True)
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
    from ancestral_training.evaluation.speech import PAGE_RATE, write_listening_page

    with click_errors(AncestralError, ValueError):
        loaded = load_from(config, model, engine)
        spoken = _spoken(corpora, loaded, sentences, PAGE_RATE)
    write_listening_page(output, model, loaded.description.sha256, spoken)


def _spoken(corpora: Sequence[Path], model: Model, sentences: int, rate: int) -> dict[str, list[Heard]]:
    """Held-out sentences of each corpus, spoken by the voice of its name; sound at ``rate`` hertz."""
    import numpy as np

    from ancestral_models.audio.mu_law import from_int16
    from ancestral_training.evaluation.speech import Heard, recordings

    def speak(voice: str, text: str, seed: int) -> Wave:
        return from_int16(np.frombuffer(model.voice(voice).speak(text, seed=seed).encode("pcm", rate), "<i2"))

    languages = {corpus: model.voice(corpus.name).language for corpus in corpora}
    real = {corpus.name: recordings(corpus, sentences, language, rate) for corpus, language in languages.items()}
    return {
        voice: [Heard(text, speak(voice, text, seed), recording) for seed, (text, recording) in enumerate(clips)]
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
    from ancestral_training.evaluation.speech import error_rates, measure_pitch, noise_score

    heard = [listener.transcribe(wave, language) for wave in waves]
    pitch = measure_pitch(waves, FeatureSpec())._asdict()
    scores = {"distillmos": judge.score(waves), "dnsmos": noise_score(waves)}
    return {**error_rates(texts, heard, language), **scores, **pitch, "heard": heard}


def _f0_response(sampler: SpeechSampler, utterances: Sequence[Utterance]) -> dict[str, float]:
    """F0 of the sound over the F0 of the frames, for several shifts."""
    import numpy as np

    from ancestral.speech.sampler import render
    from ancestral_models.engines.speech.engine import StreamRequest
    from ancestral_training.evaluation.speech import RESPONSES, f0_response

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


def _keep(folder: Path, waves: Sequence[Wave]) -> None:
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    for number, wave in enumerate(waves):
        soundfile.write(folder / f"{number:03d}.wav", wave, 16000)


@click.group(short_help="Measure the quality of a model's speech or pictures.")
def command() -> None:
    """Compare a model's speech or pictures with its training data."""


for _command in (speech, voices, listen, images):
    command.add_command(_command)

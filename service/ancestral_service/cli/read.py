"""``ancestral read``: a text of any length into an audiobook, here or by a server."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ancestral import command_line
from ancestral.books.output import MEDIA, BookFile, chapter_marks, cover_of, open_book, tags_of, write_captions
from ancestral.books.parts import BookError, Part, PartsFolder, distinct, notes_of, parts_of
from ancestral.books.reading import Reading, Spoken, default_voice
from ancestral.catalog.catalog import read_lexicon
from ancestral.client.server import Server
from ancestral.codecs import pyav
from ancestral.codecs.ffmpeg import COVERED, check_cover
from ancestral.command_line import connected, server_options
from ancestral.errors import NotFound, ServerError
from ancestral.local import FAILURES
from ancestral.model import Model
from ancestral.requests import Speak
from ancestral_service.cli.local.model import configured_models
from ancestral_service.settings import load_settings

if TYPE_CHECKING:
    from ancestral.books.reading import Speaker
    from ancestral.speech.timestamps import CaptionFormat


# Who speaks a book for ``ancestral read``: this process, or a server.


class LocalSpeaker:
    """A model that is loaded here.

    Args:
        model: that speaks.
        reading: how it speaks.
        threads: that sample.

    Raises:
        InvalidRequest: it does not speak, or has no such voice.
    """

    def __init__(self, model: Model, reading: Reading, threads: int) -> None:
        model.description.require("speech")
        voices = model.description.entry.voices
        self._voice = model.voice(reading.voice or default_voice(voices, reading.language))
        self._reading, self._threads = reading, threads
        self.model, self.model_sha256 = model.id, model.description.sha256
        self.voice, self.sample_rate = self._voice.id, model.speech_sampler.model.sound_rate
        self.cast = cache(partial(self._voice.cast, reading.voices))
        self.cast(None)  # names are checked before the text is

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        utterances = (
            self._voice.utterance(
                part.text,
                seed=part.seed,
                pronunciations=part.pronunciations,
                speed=self._reading.speed,
                voices=self._reading.voices,
                language=part.language,
            )
            for part in parts
        )
        for number, speech in self._voice.speak_many(utterances, self._threads):
            flac = speech.encode("flac", self.sample_rate)
            words = [
                (*word.span, round(word.start * self.sample_rate), round(word.end * self.sample_rate))
                for word in speech.words
            ]
            yield Spoken(parts[number], flac, words, self._voice.engine)


PARALLEL: Final = 4
"""Jobs at a time: a server samples as many as it has batch slots, and the next ones wait in its queue."""


class RemoteSpeaker:
    """A voice of a model of a server.

    Args:
        server: that speaks.
        model_id: an id or an alias; the first model that has the voice if None.
        reading: how it speaks.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: it cannot speak, or there is no such voice.
        ServerError: the server does not answer.
    """

    def __init__(self, server: Server, model_id: str | None, reading: Reading) -> None:
        self._server, self._reading, self._jobs = server, reading, dict[str, str]()
        model = server.model_that_speaks(reading.voice, reading.language) if model_id is None else server.load(model_id)
        self._voice = model.voice(reading.voice or default_voice(model.described_voices, reading.language))
        self.model, self.voice = model.id, self._voice.id
        self.model_sha256: str = model.description["sha256"]
        self.sample_rate: int = model.description["default_sample_rate"]
        self.cast = cache(partial(self._voice.cast, reading.voices))
        self.cast(None)  # names are checked before the text is

    def speak(self, parts: Sequence[Part]) -> Iterator[Spoken]:
        waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
        finished: queue.SimpleQueue[Spoken | Exception] = queue.SimpleQueue()
        for part in parts:
            waiting.put(part)
        for _ in range(PARALLEL):  # daemons, so that Ctrl-C need not wait for the server
            threading.Thread(target=self._work, args=(waiting, finished), daemon=True).start()
        try:
            for _ in parts:
                spoken = finished.get()
                if isinstance(spoken, Exception):
                    raise spoken
                yield spoken  # it is kept now, and its job is not needed any more
                with suppress(NotFound):  # the first attempt may have succeeded without an answer
                    self._server.connection.request("DELETE", f"/v1/jobs/{self._jobs.pop(spoken.part.name)}")
        finally:
            self._server.connection.closed.set()

    def _work(self, waiting: queue.SimpleQueue[Part], finished: queue.SimpleQueue[Spoken | Exception]) -> None:
        while not self._server.connection.closed.is_set():
            try:
                finished.put(self._speak(waiting.get_nowait()))
            except queue.Empty:
                return
            except Exception as error:  # noqa: BLE001 - raised where the parts are awaited
                finished.put(error)
                return

    def _speak(self, part: Part) -> Spoken:
        body = {
            "model": self.model, "voice": self.voice, "input": part.text, "pronunciations": dict(part.pronunciations),
            "seed": part.seed, "speed": self._reading.speed, "response_format": "flac",
            "sample_rate": self.sample_rate, "voices": dict(self._reading.voices), "language": part.language,
        }  # fmt: skip
        connection = self._server.connection
        while not connection.closed.is_set():
            # With the key a part that was in progress when this program ended, or the connection, is found again.
            job = connection.submit("/v1/audio/speech", body, part.name)
            try:
                flac, headers = connection.output(job)
                times = connection.get(f"/v1/jobs/{job}/timestamps")
                rate = self.sample_rate / times["sample_rate"]
                words = [
                    (word["text_start"], word["text_end"], round(word["start"] * rate), round(word["end"] * rate))
                    for word in times["words"]
                ]
            except NotFound:  # it has expired, or somebody has deleted it
                continue
            self._jobs[part.name] = job
            return Spoken(part, flac, words, headers["x-engine"])
        raise ServerError(f"{self._server.url}: interrupted")


@click.command(short_help="Read a long text into an audiobook.")
@click.argument("text", type=command_line.FILE)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .m4b, .mp3, .flac, .opus or .wav file; of an EPUB 3 also .epub, which shows each word while it is said.",
)
@click.option(
    "--voice",
    help="A voice, or a mix, 'heart(2)+joe(1)'; by default the model's first, of an EPUB the first of its language.",
)
@command_line.voices_option
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@command_line.field_options(
    Speak, "seed", default=0, help="Another seed gives another reading; the same one the same bytes."
)
@command_line.field_options(Speak, "speed")
@command_line.pronunciations_option
@click.option("--title", help="By default the title in an EPUB or a Project Gutenberg header, or the name of the file.")
@click.option("--author", help="By default the author in an EPUB or the header of a Project Gutenberg text.")
@click.option(
    "--cover", type=command_line.FILE, help="A PNG or JPEG, for .m4b, .mp3 and .flac; an EPUB's own by default."
)
@click.option("--split", is_flag=True, help="A file for each chapter: book-01.mp3, book-02.mp3, … for book.mp3.")
@click.option(
    "--captions",
    type=click.Choice(["vtt", "srt"]),
    multiple=True,
    help="Also write WebVTT or SubRip beside each file; repeatable.",
)
@server_options
@click.option(
    "--parts",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that keeps the finished paragraphs after the end too, so that a corrected text costs only what has "
    "changed. OUTPUT.parts by default, which is deleted at the end.",
)
def command(
    text: Path,
    output: Path,
    voice: str | None,
    voices: dict[str, str],
    model: str | None,
    seed: int,
    speed: float,
    lexicon: Path | None,
    title: str | None,
    author: str | None,
    cover: Path | None,
    split: bool,
    captions: tuple[CaptionFormat, ...],
    url: str | None,
    api_key_file: Path | None,
    parts: Path | None,
) -> None:
    """Read TEXT, an EPUB or a UTF-8 file, with a progress bar. Chapters become chapter marks (docs/reading.md).

    Interrupted, even by kill -9, the same command goes on where it was, and ends with the same bytes.
    """
    form = output.suffix.lower().removeprefix(".")
    command_line.check_suffix(output, [f".{name}" for name in MEDIA])
    if cover is not None and form not in COVERED:
        raise click.UsageError(f"--cover: a .{form} file has none; {', '.join(f'.{name}' for name in COVERED)} have")
    if form == "epub" and (split or captions or title or author):
        kept = "an .epub shows its words itself, is one file, and keeps its title and author"
        raise click.UsageError(f"--split, --captions, --title, --author: {kept}")
    command_line.check_output(output)
    if output.exists() and output.samefile(text):
        raise click.BadParameter(f"{output}: the text itself would be replaced", param_hint="--output")
    with command_line.click_errors(*FAILURES, BookError), ExitStack() as stack:
        pyav()  # fail before sampling if the file cannot be written
        picture = None if cover is None else cover.read_bytes()
        if picture is not None:
            check_cover(picture)
        settings = load_settings()
        signer = settings.load_signer()
        try:
            book = open_book(text, form)
        except BookError as error:
            raise BookError(f"{text}: {error}") from error
        picture = cover_of(book, form) if picture is None else picture
        reading = Reading(voice, book.language, speed, voices)
        speaker: Speaker
        if server := connected(url, api_key_file):
            speaker = RemoteSpeaker(stack.enter_context(server), model, reading)
        else:
            lexicon = lexicon or settings.pronunciations
            models = configured_models(settings, lexicon)
            loaded = models.model_that_speaks(voice, book.language) if model is None else models.load(model)
            speaker = LocalSpeaker(loaded, reading, settings.threads)
        made_from = reading.made_from(speaker.model, speaker.model_sha256, speaker.voice)
        found, unspoken = parts_of(book, read_lexicon(lexicon), seed, made_from, speaker.cast)
        for note in notes_of(book, unspoken):
            click.echo(f"{text}: {note}", err=True)
        folder = PartsFolder(parts or output.with_name(f"{output.name}.parts"), speaker.sample_rate)
        try:
            _speak(speaker, found, folder)
        except KeyboardInterrupt:
            click.echo(f"Interrupted. The same command goes on where it was, with {folder.path}.", err=True)
            raise
        tags = tags_of(title or book.title or click.format_filename(text.stem), author or book.author, made_from, seed)
        chapters = chapter_marks(book, found, folder, tags["title"])
        file = BookFile(text, form, tags, folder, picture, signer)
        if split:
            file.write_chapters(output, found, chapters, captions)
        else:
            file.write(output, found, chapters)
            write_captions(output, found, folder, captions)
        if parts is None:
            folder.remove()
    minutes = chapters[-1].end / speaker.sample_rate / 60
    click.echo(f"{output}: {len(chapters)} chapters, {minutes:.1f} minutes, seed {seed}", err=True)


def _speak(speaker: Speaker, parts: Sequence[Part], folder: PartsFolder) -> None:
    """Have the parts spoken that are not finished yet, with a progress bar on standard error."""
    each = distinct(parts)
    missing = [part for part in each if not folder.has(part)]
    (characters, sentences), (left, left_sentences) = (
        (sum(len(part.text) for part in some), sum(part.sentences for part in some)) for some in (each, missing)
    )
    with command_line.progress_bar("{task.fields[sentences]} of {task.fields[all]} sentences") as progress:
        task = progress.add_task(
            speaker.voice, total=characters, completed=characters - left,
            sentences=sentences - left_sentences, all=sentences,
        )  # fmt: skip
        for spoken in speaker.speak(missing):
            folder.use(spoken.engine)
            folder.store(spoken.part, spoken.flac, spoken.words)
            spoken_sentences = progress.tasks[task].fields["sentences"] + spoken.part.sentences
            progress.update(task, advance=len(spoken.part.text), sentences=spoken_sentences)

"""``ancestral read``: a text of any length into an audiobook, here or by a server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ancestral.command_line import (
    FILE,
    check_output,
    click_errors,
    field_options,
    progress_bar,
    pronunciations_option,
    voices_option,
)
from ancestral.requests import Speak
from ancestral.service.cli.server_options import connected, server_options

if TYPE_CHECKING:
    from ancestral.models.text import Pronunciations
    from ancestral.service.books.parts import Part, PartsFolder
    from ancestral.service.books.reading import Reading, Speaker
    from ancestral.service.speech.timestamps import CaptionFormat

_SUFFIXES = (".m4b", ".mp3", ".flac", ".opus", ".wav", ".epub")


@click.command(short_help="Read a long text into an audiobook.")
@click.argument("text", type=FILE)
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
@voices_option
@click.option("--model", help="A model's id; the first one that has the voice by default.")
@field_options(Speak, "seed", default=0, help="Another seed gives another reading; the same one the same bytes.")
@field_options(Speak, "speed")
@pronunciations_option
@click.option("--title", help="By default the title in an EPUB or a Project Gutenberg header, or the name of the file.")
@click.option("--author", help="By default the author in an EPUB or the header of a Project Gutenberg text.")
@click.option("--cover", type=FILE, help="A PNG or JPEG, for .m4b, .mp3 and .flac; an EPUB's own by default.")
@click.option("--split", is_flag=True, help="A file a chapter: OUTPUT without its suffix, -01 and so on.")
@click.option(
    "--captions",
    type=click.Choice(["vtt", "srt"]),
    multiple=True,
    help="Write WebVTT or SubRip beside each file, too; both if given twice.",
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
    from ancestral.catalog.catalog import read_lexicon
    from ancestral.codecs.book import COVERED, check_cover
    from ancestral.service.books.epub import EpubError
    from ancestral.service.books.output import BookFile, chapter_marks, cover_of, open_book, tags_of, write_captions
    from ancestral.service.books.parts import BookError, PartsFolder, notes_of, parts_of
    from ancestral.service.books.reading import Reading
    from ancestral.service.cli.local.model import FAILURES
    from ancestral.service.cli.speakers import RemoteSpeaker
    from ancestral.service.settings import load_settings

    form = output.suffix.lower().removeprefix(".")
    if output.suffix.lower() not in _SUFFIXES:
        raise click.BadParameter(f"{output.name}: the name must end in {', '.join(_SUFFIXES)}", param_hint="--output")
    if cover is not None and form not in COVERED:
        raise click.UsageError(f"--cover: a .{form} file has none; {', '.join(f'.{name}' for name in COVERED)} have")
    if form == "epub" and (split or captions):
        raise click.UsageError("--split, --captions: an .epub shows its words itself, and is one file")
    check_output(output)
    with click_errors(*FAILURES, BookError, EpubError), ExitStack() as stack:
        picture = None if cover is None else cover.read_bytes()
        if picture is not None:
            check_cover(picture)
        signer = load_settings().load_signer()
        try:
            book = open_book(text, form)
        except BookError as error:
            raise BookError(f"{text}: {error}") from error
        picture = cover_of(book, form) if picture is None else picture
        reading = Reading(voice, book.language, speed, voices)
        speaker: Speaker
        if server := connected(url, api_key_file):
            speaker, words = RemoteSpeaker(stack.enter_context(server), model, reading), read_lexicon(lexicon)
        else:
            speaker, words = _local(lexicon, model, reading)
        made_from = reading.made_from(speaker.model, speaker.model_sha256, speaker.voice)
        found, unspoken = parts_of(book, words, seed, made_from, speaker.cast)
        for note in notes_of(book, unspoken):
            click.echo(f"{text}: {note}", err=True)
        folder = PartsFolder(parts or output.with_name(f"{output.name}.parts"), speaker.sample_rate)
        try:
            _speak(speaker, found, folder)
        except KeyboardInterrupt:
            click.echo(f"Interrupted. The same command goes on where it was, with {folder.path}.", err=True)
            raise
        tags = tags_of(title or book.title or text.stem, author or book.author, made_from | {"seed": seed})
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


def _local(lexicon: Path | None, model: str | None, reading: Reading) -> tuple[Speaker, Pronunciations]:
    """A model in this process, and the words of the lexicon."""
    from ancestral.catalog.catalog import read_lexicon
    from ancestral.service.cli.local.model import configured_model, model_that_speaks
    from ancestral.service.cli.speakers import LocalSpeaker
    from ancestral.service.settings import load_settings

    settings = load_settings()
    loaded = configured_model(model or model_that_speaks(reading.voice), lexicon)
    words = read_lexicon(lexicon or settings.pronunciations)
    return LocalSpeaker(loaded, reading, settings.threads), words


def _speak(speaker: Speaker, parts: Sequence[Part], folder: PartsFolder) -> None:
    """Have the parts spoken that are not finished yet, with a progress bar on standard error."""
    from ancestral.service.books.parts import distinct

    each = distinct(parts)
    missing = [part for part in each if not folder.has(part)]
    (characters, sentences), (left, left_sentences) = (
        (sum(len(part.text) for part in some), sum(part.sentences for part in some)) for some in (each, missing)
    )
    with progress_bar("{task.fields[sentences]} of {task.fields[all]} sentences") as progress:
        task = progress.add_task(
            speaker.voice, total=characters, completed=characters - left,
            sentences=sentences - left_sentences, all=sentences,
        )  # fmt: skip
        for spoken in speaker.speak(missing):
            folder.use(spoken.engine)
            folder.store(spoken.part, spoken.flac, spoken.words)
            spoken_sentences = progress.tasks[task].fields["sentences"] + spoken.part.sentences
            progress.update(task, advance=len(spoken.part.text), sentences=spoken_sentences)

"""What language models can do with the models here, or with a server's: the tools of ``ancestral mcp``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import AudioContent, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from ancestral import model as library
from ancestral.catalog.seeds import MAX_SEED, MAX_SEED_TEXT, seed_as_json
from ancestral.client.server import RemoteModel, RemoteSpeech, Server
from ancestral.detection.upload import media_type_of
from ancestral.formats import MEDIA_TYPES
from ancestral.images.picture import Pictures
from ancestral.local import FAILURES, LocalModels
from ancestral.speech.voice import Speech
from ancestral_integrations import __version__
from ancestral_models.entries import SPEEDS

T = TypeVar("T")
LoadedModel = library.Model | RemoteModel
MAX_FILE_BYTES: Final = 32 << 20
_MAX_CHARACTERS: Final = 4096
_SIDE: Final = 256
"""Pixels of a side that pictures have at least: theirs are too small to be seen."""
_FIGURES: Final = ("bits_per_sample", "bits_per_dim", "nats", "samples", "dims", "words")
"""The figures of a likelihood that are returned; the bits of every 10 ms and of every pixel are too many to read."""

Model = Annotated[str | None, Field(description="Id of a model; by default the first one that fits.", max_length=200)]
Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_SEED)] | Annotated[str, Field(min_length=1, max_length=MAX_SEED_TEXT)] | None,
    Field(description="A number or a text: the same one gives the same bytes; drawn if left out."),
]
FilePath = Annotated[str | None, Field(description="Path of the file on this machine.", max_length=4096)]
FileData = Annotated[
    str | None, Field(description="The file in base64, instead of its path.", max_length=MAX_FILE_BYTES * 4 // 3 + 4)
]
Voice = Annotated[
    str | None, Field(description="A voice, or a mix such as 'heart(2)+joe(1)'; list_voices has them.", max_length=400)
]
Text = Annotated[str, Field(description="What is said.", min_length=1, max_length=_MAX_CHARACTERS)]
Language = Annotated[str | None, Field(description="Of the text, such as 'es'; the voice's by default.", max_length=35)]


class Tools:
    """The tools.

    Args:
        models: here, or a server's.
        at_a_time: how many requests are sampled.
        folder: into which every sound and picture is also written; None for none.
        reads_paths: whether files of this machine may be named.
    """

    def __init__(
        self, models: Server | LocalModels, at_a_time: int, folder: Path | None = None, reads_paths: bool = False
    ) -> None:
        self._models, self._folder, self._reads_paths = models, folder, reads_paths
        self._sampling = anyio.Semaphore(at_a_time)

    def server(self) -> MCPServer[Any]:
        """An MCP server with these tools."""
        server: MCPServer[Any] = MCPServer(
            "ancestral",
            title="Ancestral",
            instructions="Speaks and draws with small models: a seed gives the same bytes. Scores files exactly.",
            version=__version__,
            log_level="WARNING",
        )
        makes = ToolAnnotations(read_only_hint=self._folder is None, destructive_hint=False, open_world_hint=False)
        reads = ToolAnnotations(read_only_hint=True, open_world_hint=False)
        tools = (
            (self.say, makes), (self.draw, makes), (self.score, reads), (self.detect, reads),
            (self.list_voices, reads), (self.list_pictures, reads),
        )  # fmt: skip
        for tool, hints in tools:
            server.add_tool(tool, annotations=hints, structured_output=False)
        return server

    async def say(
        self,
        text: Text,
        context: Context,
        voice: Voice = None,
        model: Model = None,
        seed: Seed = None,
        speed: Annotated[float, Field(ge=SPEEDS[0], le=SPEEDS[1], description="2 is twice as fast.")] = 1.0,
        language: Language = None,
        input_format: Annotated[
            Literal["text", "ssml"], Field(description="ssml if the text is an SSML document.")
        ] = "text",
        form: Annotated[Literal["mp3", "wav", "flac", "opus"], Field(description="Format of the sound.")] = "mp3",
    ) -> list[AudioContent | TextContent]:
        """Speak a text. [pause:1.5s] is a pause, [voice:joe] has another voice say what follows."""
        with explained():
            async with self._sampling:
                chosen = await in_thread(lambda: self._speaking(model, voice).voice(voice))
                speech = await in_thread(
                    lambda: chosen.speak(text, seed=seed, speed=speed, language=language, input_format=input_format)
                )
                if isinstance(speech, Speech):
                    await _sample(speech, context)
                try:
                    data = await in_thread(lambda: speech.encode(form))
                except anyio.get_cancelled_exc_class():
                    if isinstance(speech, RemoteSpeech):
                        with anyio.CancelScope(shield=True):
                            await in_thread(speech.cancel)
                    raise
                words = await in_thread(lambda: speech.words)
            seconds = round(words[-1].end, 2) if words else 0.0
            said = {"voice": chosen.id, "seed": seed_as_json(speech.seed), "seconds": seconds}
            sound = AudioContent(data=base64.b64encode(data).decode(), mime_type=MEDIA_TYPES[form])
            return [sound, self._described(said, data, f"{chosen.id}-{speech.seed}", form)]

    async def draw(
        self,
        prompt: Annotated[
            str, Field(description="Names that list_pictures has, separated by commas.", max_length=1000)
        ],
        context: Context,
        model: Model = None,
        n: Annotated[int, Field(ge=1, le=10, description="How many pictures.")] = 1,
        seed: Seed = None,
    ) -> list[ImageContent | TextContent]:
        """Draw small pictures, pixel by pixel. The prompt is a list of names, no description: 'elf, robe'."""
        with explained():
            async with self._sampling:
                chosen = await in_thread(lambda: self._drawing(model, prompt))
                pictures = await in_thread(lambda: chosen.draw_many(prompt, n, seed=seed))
                if isinstance(pictures, Pictures):
                    rows = pictures.rows()
                    while (row := await in_thread(lambda: next(rows, None))) is not None:
                        await context.report_progress(row, pictures.height)
                scale = -(-_SIDE // pictures.height)
                files = await in_thread(lambda: [pictures.file(index, "png", scale) for index in range(n)])
            contents: list[ImageContent | TextContent] = []
            for index, data in enumerate(files):
                picture = pictures[index]
                said = {"model": chosen.id, "seed": seed_as_json(picture.seed), "prompt": picture.prompt}
                contents.append(ImageContent(data=base64.b64encode(data).decode(), mime_type="image/png"))
                contents.append(self._described(said, data, f"{chosen.id}-{picture.seed}", "png"))
            return contents

    async def score(
        self,
        path: FilePath = None,
        data: FileData = None,
        model: Model = None,
        prompt: Annotated[str, Field(description="What a picture shows, as of draw.", max_length=1000)] = "any",
        voice: Voice = None,
        text: Annotated[str, Field(description="What is said in a recording.", max_length=_MAX_CHARACTERS)] = "",
    ) -> list[TextContent]:
        """The exact likelihood of a picture or a recording under a model: bits per dimension or per sample, as JSON."""
        with explained():
            file = await in_thread(lambda: self._file(path, data))
            is_picture = media_type_of(file).startswith("image/")
            async with self._sampling:
                if is_picture:
                    found = await in_thread(lambda: self._drawing(model, prompt).score(file, prompt))
                else:
                    found = await in_thread(lambda: self._speaking(model, voice).voice(voice).score(file, text))
            return [_json({name: found[name] for name in _FIGURES if name in found})]

    async def detect(
        self,
        path: FilePath = None,
        data: FileData = None,
        model: Model = None,
        seed: Seed = None,
        voice: Voice = None,
        text: Annotated[
            str | None, Field(description="What is said in a recording.", max_length=_MAX_CHARACTERS)
        ] = None,
    ) -> list[TextContent]:
        """Whether a picture or a recording was made by a model here: a verdict and its evidence, as JSON."""
        with explained():
            file = await in_thread(lambda: self._file(path, data))
            async with self._sampling:
                found = await in_thread(
                    lambda: self._models.detect(file, model=model, seed=seed, voice=voice, text=text)
                )
            return [_json(found)]

    async def list_voices(self) -> list[TextContent]:
        """The voices that can speak, with their languages, as JSON."""
        with explained():
            return [_json(await in_thread(lambda: _voices(self._models)))]

    async def list_pictures(self) -> list[TextContent]:
        """What can be drawn: of every model the names that a prompt may have, by attribute, as JSON."""
        with explained():
            return [_json(await in_thread(lambda: _attributes(self._models)))]

    def _speaking(self, model: str | None, voice: str | None) -> LoadedModel:
        return self._models.model_that_speaks(voice) if model is None else self._models.load(model)

    def _drawing(self, model: str | None, prompt: str) -> LoadedModel:
        return self._models.model_that_draws(prompt or "any") if model is None else self._models.load(model)

    def _file(self, path: str | None, data: str | None) -> bytes:
        """The bytes of a file that a request names or contains.

        Raises:
            ToolError: it names none, or it may not, or the file is too large.
        """
        if (path is None) == (data is None):
            raise ToolError("either path or data")
        if data is not None:
            try:
                return base64.b64decode(data.rpartition(",")[2] if data.startswith("data:") else data, validate=True)
            except binascii.Error as error:
                raise ToolError(f"data: not base64: {error}") from error
        if not self._reads_paths:
            raise ToolError("path: this server reads no files; send data")
        file = Path(str(path)).expanduser()
        if not file.is_file():
            raise ToolError(f"path: no such file: {path}")
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ToolError(f"path: more than {MAX_FILE_BYTES >> 20} MiB")
        return file.read_bytes()

    def _described(self, said: dict[str, Any], data: bytes, name: str, form: str) -> TextContent:
        """What an output was made from, and its file, if it is to be written."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.{form}"
            file.write_bytes(data)
            said = {**said, "file": str(file)}
        return _json(said)


@contextmanager
def explained() -> Iterator[None]:
    """Errors that the caller can correct become messages for the language model."""
    try:
        yield
    except FAILURES as error:
        raise ToolError(str(error)) from error


async def in_thread(work: Callable[[], T]) -> T:
    """What blocking work gives. Cancelled, it is no longer waited for."""
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


async def _sample(speech: Speech, context: Context) -> None:
    """Sample a speech, chunk by chunk, so that it can be cancelled, and tell how far it is: at its first sound, then
    every second."""
    total = await in_thread(lambda: speech.duration)
    chunks, seconds, told = iter(speech), 0.0, -1.0
    while (chunk := await in_thread(lambda: next(chunks, None))) is not None:
        seconds += len(chunk) / speech.sample_rate
        if seconds - told >= 1:
            await context.report_progress(seconds, total, f"{seconds:.1f} of {total:.1f} s")
            told = seconds


def _json(found: Any) -> TextContent:
    return TextContent(text=json.dumps(found, ensure_ascii=False))


def _voices(models: Server | LocalModels) -> list[dict[str, str]]:
    """Voices that speak, with their first model."""
    if isinstance(models, Server):
        return [
            {"voice": voice["id"], "language": voice["language"], "gender": voice["gender"], "model": speaking[0]}
            for voice in models.connection.get("/v1/audio/voices")["voices"]
            if (speaking := voice["capabilities"].get("speech"))
        ]
    found: dict[str, dict[str, str]] = {}
    for model in models.catalog.speech_models:
        for voice in model.entry.voices if "speech" in model.capabilities else ():
            row = {"voice": voice.id, "language": voice.language, "gender": voice.gender, "model": model.entry.id}
            found.setdefault(voice.id, row)
    return list(found.values())


def _attributes(models: Server | LocalModels) -> dict[str, dict[str, list[str]]]:
    """Names that prompts may have, by model and attribute."""
    found: dict[str, dict[str, list[str]]] = {}
    if isinstance(models, Server):
        for value in models.connection.get("/v1/images/classes")["data"]:
            found.setdefault(value["model"], {}).setdefault(value["object"], []).append(value["id"])
        return found
    for model in models.catalog.image_models:
        if model.spec.named:
            found[model.entry.id] = {name: list(values) for name, values in model.spec.named.items()}
    return found

"""A loaded model: what :func:`ancestral.load` gives."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from PIL import Image

from ancestral.catalog.catalog import DEFAULT_MODEL, CatalogConfig
from ancestral.catalog.descriptions import ImageModel
from ancestral.catalog.descriptions import Model as Description
from ancestral.errors import check_choice, check_range, check_type
from ancestral.formats import file_bytes
from ancestral.images.decoding import decode_masked, decode_picture
from ancestral.images.drawing import MAX_BATCH, Labels
from ancestral.images.picture import Picture, Pictures
from ancestral.images.planning import (
    class_drawing,
    completion,
    edit,
    interpolation,
    reconstruction,
    requested_labels,
    sheet_drawing,
)
from ancestral.images.sampler import ImageSampler, report
from ancestral.loader import LoadedModels, load_models
from ancestral.requests import Draw, DrawOptions, checked
from ancestral.speech.sampler import SpeechSampler
from ancestral.speech.voice import Voice
from ancestral_models.engines import NAMES
from ancestral_models.entries import EDIT_CAPABILITY

ImageSource = str | Path | bytes | Image.Image | Picture
"""A file, its bytes, or a picture in memory."""


class DrawArguments(TypedDict, total=False):
    """What every call that draws takes; see :class:`~ancestral.requests.Draw`."""

    seed: int | str | None
    temperature: float | None
    guidance: float | None
    style: str | None
    background: str
    palette: str | Path | Sequence[str] | None
    best_of: int


def _options(values: DrawArguments) -> Draw:
    """Validated; the size and the format of files are what :meth:`Picture.save` is told."""
    return Draw.model_construct(**dict(checked(DrawOptions, values)))


class Model:
    """A model with its weights. What it can do is in :attr:`capabilities`; anything else raises ``InvalidRequest``.

    Args:
        models: among them this one.
        model_id: its id or an alias.
    """

    def __init__(self, models: LoadedModels, model_id: str) -> None:
        self.description: Description = models.model(model_id)
        """Id, voices or classes, capabilities, parameters, hash of the weights."""
        self._models = models

    def __repr__(self) -> str:
        return f"<Model {self.id}: {', '.join(self.capabilities)}>"

    @property
    def id(self) -> str:
        """The model's id."""
        return self.description.entry.id

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What it can do."""
        return self.description.capabilities

    @property
    def engine(self) -> str:
        """The name of the engine that samples."""
        return self._models.samplers[self.id].engine.name

    @property
    def voices(self) -> list[str]:
        """The ids of its voices."""
        return [voice.id for voice in self.description.entry.voices]

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """What its pictures can be asked to show: the values of every attribute. Empty for a model of sound."""
        return self.description.spec.named if isinstance(self.description, ImageModel) else {}

    @property
    def sheets(self) -> list[str]:
        """The names of the sheets that :meth:`draw_sheet` draws."""
        return [*self.description.entry.sheets]

    def voice(self, voice: str | None = None) -> Voice:
        """A voice.

        Args:
            voice: its id or an alias, or a mix such as ``heart(2)+joe(1)``; the model's first voice if None.

        Raises:
            InvalidRequest: the model does not speak, or has no such voice.
        """
        sampler = self.speech_sampler
        name = self.voices[0] if voice is None else voice
        check_type("voice", name, str, "an id, an alias or a mix")
        return Voice(sampler, self._models.voice(sampler.model, name), self._models)

    @property
    def speech_sampler(self) -> SpeechSampler:
        """What samples a model that speaks, for those who sample frames of their own."""
        return self._models.sound(self._models.speech_model(self.id, "speech"))

    def draw(self, prompt: str | None = None, **options: Unpack[DrawArguments]) -> Picture:
        """One picture; as :meth:`draw_many`."""
        return self.draw_many(prompt, 1, **options)[0]

    def draw_many(self, prompt: str | None = None, n: int = 1, **options: Unpack[DrawArguments]) -> Pictures:
        """Pictures of a class, or of other attributes.

        Args:
            prompt: names of :attr:`attributes`' values, separated by commas, or ``any``; the seed draws what is not
                named. None for a model without attributes.
            n: pictures; each has a seed of its own, made from the request's.
            options: of :class:`DrawArguments`.

        Raises:
            InvalidRequest: the model draws no pictures of classes, or has no such value.
        """
        sampler = self._painter("image_generation")
        return Pictures(sampler, class_drawing(sampler.model, prompt, n, _options(options)))

    def draw_sheet(self, sheet: str, prompt: str | None = None, **options: Unpack[DrawArguments]) -> Pictures:
        """A sheet that the model lays out: one thing in all its directions and frames, from one seed.

        Args:
            sheet: the name of one of :attr:`sheets`.
            prompt: as of :meth:`draw_many`; the seed draws what is not named, once for all pictures.
            options: of :class:`DrawArguments`.

        Raises:
            InvalidRequest: the model has no such sheet or value, or the prompt names a direction or a frame.
        """
        sampler = self._painter("image_generation")
        return Pictures(sampler, sheet_drawing(sampler.model, sheet, prompt, _options(options)))

    def complete(
        self,
        image: ImageSource,
        rows: int | None = None,
        prompt: str = "any",
        n: int = 1,
        **options: Unpack[DrawArguments],
    ) -> Pictures:
        """The rest of a picture, drawn anew below its first rows.

        Args:
            image: of the model's size, or of a whole multiple of it.
            rows: that are kept; half of them if None.
            prompt: as of :meth:`draw_many`.
            n: pictures.
            options: as of :meth:`draw_many`.
        """
        sampler = self._painter("image_completion")
        model = sampler.model
        symbols, palette_error = decode_picture(_file(image), model.spec, "image")
        rows = model.spec.height // 2 if rows is None else rows
        check_range("rows", rows, 1, model.spec.height - 1)
        kept = np.ascontiguousarray(symbols[:rows])
        drawing = completion(model, kept, palette_error, prompt, n, _options(options))
        return Pictures(sampler, drawing, kept.ravel())

    def edit(
        self, image: ImageSource, mask: ImageSource, prompt: str = "any", n: int = 1, **options: Unpack[DrawArguments]
    ) -> Pictures:
        """A region of a picture, drawn anew, given all of the rest.

        Args:
            image: of the model's size, or of a whole multiple of it.
            mask: of such a size, too; transparent where the picture is drawn anew.
            prompt: as of :meth:`draw_many`; of what is not named, anything that suits the rest.
            n: pictures.
            options: as of :meth:`draw_many`.

        Raises:
            InvalidRequest: the model draws no edits; or a field is wrong.
        """
        sampler = self._painter(EDIT_CAPABILITY)
        masked = decode_masked(_file(image), _file(mask), sampler.model.spec)
        return Pictures(sampler, edit(sampler.model, masked, prompt, n, _options(options)), masked.data)

    def reconstruct(self, image: ImageSource, n: int = 1, **options: Unpack[DrawArguments]) -> Pictures:
        """Pictures of what another one shows or, of a model of portraits, of the person on it.

        Args:
            image: as of :meth:`complete`.
            n: pictures.
            options: as of :meth:`draw_many`, without ``guidance`` and ``style``.
        """
        portraits = "image_portrait" in self.capabilities
        sampler = self._painter("image_portrait" if portraits else "image_reconstruction")
        symbols, palette_error = decode_picture(_file(image), sampler.model.spec, "image")
        drawing = reconstruction(sampler.model, symbols, palette_error, n, _options(options))
        return Pictures(sampler, drawing, symbols.ravel())

    def encode(self, image: ImageSource) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The vector of a picture ``[condition_channels]``, which :meth:`interpolate` takes."""
        sampler = self._painter("image_encoding")
        return sampler.encode(decode_picture(_file(image), sampler.model.spec, "image")[0])

    def interpolate(
        self, begin: str | Sequence[float], end: str | Sequence[float], steps: int = 8, **options: Unpack[DrawArguments]
    ) -> Pictures:
        """One picture a step from one list of names, or vector, to another, all from one seed."""
        check_range("steps", steps, 2, MAX_BATCH)
        sampler = self._painter("image_interpolation")
        return Pictures(sampler, interpolation(sampler.model, begin, end, steps, _options(options)))

    def score(self, image: ImageSource, prompt: str = "any", style: str | None = None) -> dict[str, Any]:
        """The exact likelihood of a picture, given what it shows. Recordings are scored by :meth:`Voice.score`.

        Returns:
            ``bits_per_dim``, ``nats``, ``dims`` (sub-pixels), ``bits`` (of every pixel, ``[H][W]``).
        """
        sampler = self._painter("image_likelihood")
        labels: Labels = requested_labels(sampler.model, prompt, style)
        symbols, _ = decode_picture(_file(image), sampler.model.spec, "image")
        return report(sampler.score(symbols[None], labels))

    def _painter(self, capability: str) -> ImageSampler:
        return self._models.picture(self._models.image_model(self.id, capability))


def load(
    model: str = DEFAULT_MODEL,
    *,
    directory: str | Path | None = None,
    engine: str = "auto",
    pronunciations: str | Path | None = None,
) -> Model:
    """Load a model.

    Args:
        model: its id or an alias.
        directory: of models, instead of the bundled ones.
        engine: ``native``, ``onnx-cpu``, ``onnx-cuda``, or ``auto``.
        pronunciations: a file of words and their phonemes, JSON or PLS (``.pls``), for every text.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: there is no such engine.
        ModelError: its description is wrong, or the engine cannot run here.
        CheckpointError: its weights are missing or damaged.
    """
    directories = CatalogConfig.directories if directory is None else (Path(directory),)
    lexicon = None if pronunciations is None else Path(pronunciations)
    return load_from(CatalogConfig(directories, pronunciations=lexicon), model, engine)


def load_from(config: CatalogConfig, model: str, engine: str = "auto") -> Model:
    """Load a model of a configured deployment; as :func:`load`."""
    check_choice("engine", engine, NAMES)
    return Model(load_models(config, engine, only=model), model)


def _file(image: ImageSource) -> bytes:
    """The bytes of an image file; a picture in memory as PNG."""
    if isinstance(image, str | Path | bytes):
        return file_bytes(image)
    file = io.BytesIO()
    (image.image if isinstance(image, Picture) else image).save(file, "PNG")
    return file.getvalue()

"""Whether files were made here, without a server: what ``ancestral.Detector`` and ``ancestral detect`` do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ancestral.catalog.catalog import Catalog, CatalogConfig, load_catalog
from ancestral.catalog.seeds import seed_or_drawn
from ancestral.codecs.decoding import decode_upload
from ancestral.detection.examine import Answer, Picture, Sound, examine
from ancestral.detection.query import MAX_SEARCH, Query, verdict
from ancestral.detection.upload import candidates, flat_recipe, read_upload, symbols_of
from ancestral.errors import check_range
from ancestral.loader import LoadedModels, load_models
from ancestral.provenance.c2pa import Signer

MAX_SECONDS: Final = 600.0
"""Longest recording."""


class Detector:
    """Answers for many files; a model is loaded when the first file needs it.

    Args:
        config: where the models are.
        engine: as of :func:`ancestral.load`.
        key: of the seeds that are searched; None without one.
        trusted: certificates whose signatures are trusted, PEM.
        signer: whose signatures say that a file was made here.
    """

    def __init__(
        self,
        config: CatalogConfig | None = None,
        engine: str = "auto",
        key: bytes | None = None,
        trusted: str = "",
        signer: Signer | None = None,
    ) -> None:
        self._config, self._engine = config or CatalogConfig(), engine
        self._key, self._trusted, self._signer = key, trusted, signer
        self._catalog: Catalog = load_catalog(self._config)
        self._loaded = LoadedModels({}, self._catalog.aliases, self._catalog.pronunciations)

    def detect(
        self,
        file: str | Path | bytes,
        *,
        model: str | None = None,
        seed: int | str | None = None,
        recipe: Mapping[str, Any] | None = None,
        voice: str | None = None,
        text: str | None = None,
        counters: int = 0,
        seconds: float = Query.seconds,
    ) -> Answer:
        """Whether a file was made with a model here, and the evidence.

        Args:
            file: a PNG, WebP, JPEG, WAV, FLAC, Ogg or MP3 file, or its bytes.
            model: that may have made it; by default all that fit, or for sound the first that has the voice.
            seed: that may have made it.
            recipe: instead of the one in the file: fields of a request, or a manifest.
            voice: of a recording.
            text: of a recording.
            counters: of the key's seeds those of the counters below this are searched.
            seconds: that the search may take.

        Returns:
            ``signature``, ``recipe``, ``seed``, ``model`` and ``verdict``, as ``POST /v1/detect`` says them.

        Raises:
            InvalidRequest: the file cannot be read, or an argument is wrong.
            NotFound: there is no such model.
        """
        data = file if isinstance(file, bytes) else Path(file).read_bytes()
        check_range("counters", counters, 0, 2**53)
        upload = read_upload(data, self._signer, trusted=self._trusted)
        told = upload.recipe if recipe is None else flat_recipe(recipe)
        query = Query(
            seed=None if seed is None else seed_or_drawn(seed), recipe=told, voice=voice, text=text,
            newest=counters, search=min(counters, MAX_SEARCH), seconds=seconds,
        )  # fmt: skip
        ids = candidates(self._catalog, model, told, voice, picture=upload.is_picture)
        if upload.is_picture:
            symbols = [(found.entry.id, seen) for found, seen in symbols_of(data, self._catalog, ids)]
            self._load([name for name, _ in symbols])
            parts = examine(self._loaded, Picture(symbols), query, self._key)
        else:
            self._load(ids)
            rate = self._catalog.speech_model(ids[0], "likelihood").spec.sample_rate
            wave = decode_upload(data, sample_rate=rate, max_seconds=MAX_SECONDS, param="file")
            parts = examine(self._loaded, Sound(ids[0], wave), query, self._key)
        answer = {"signature": dict(upload.signature), **parts}
        return {**answer, "verdict": verdict(answer)}

    def _load(self, ids: list[str]) -> None:
        for name in ids:
            if name not in self._loaded.samplers:
                samplers = self._loaded.samplers | load_models(self._config, self._engine, only=name).samplers
                self._loaded = LoadedModels(samplers, self._catalog.aliases, self._catalog.pronunciations)

"""Requests to examine a file, checked and resolved into jobs. Everything that can be refused is refused here."""

from __future__ import annotations

import json
from typing import Any

from ancestral.catalog.catalog import Catalog
from ancestral.catalog.models import ImageModel, Model, SpeechModel
from ancestral.detection.upload import candidates, parse_recipe, read_upload, sound_of, symbols_of
from ancestral.provenance.signer import Signer
from ancestral.service.detection.payloads import DetectionPayload
from ancestral.service.detection.tasks import DETECTION
from ancestral.service.jobs.tasks import JobSpec
from ancestral.service.settings import Settings


def detection_job(
    catalog: Catalog, settings: Settings, signer: Signer | None, fields: dict[str, Any], file: bytes, newest: int
) -> JobSpec[DetectionPayload, Model]:
    """A file to examine. Takes a moment, as it is decoded and its signature is checked.

    Args:
        catalog: of all models.
        settings: of the service.
        signer: whose signatures are this server's own.
        fields: of the form, without the file.
        file: the upload.
        newest: the counters of the provenance key that have been used lie below this.

    Raises:
        NotFound: no such model.
        InvalidRequest: a field, or the file, cannot be used; ``param`` names it.
    """
    given = None if fields["recipe"] is None else parse_recipe(fields["recipe"])
    upload = read_upload(file, trusted="" if signer is None else signer.chain)
    told = upload.signature
    own = signer is not None and told.get("trusted") and told["serial_number"] == signer.serial
    recipe = upload.recipe if given is None else given
    ids = candidates(catalog, fields["model"], recipe, picture=upload.is_picture)
    seconds = 0.0
    if upload.is_picture:
        chosen = [found for name in ids if isinstance(found := catalog.models[name], ImageModel)]
        seen = symbols_of(file, chosen)
        ids, data = [model.entry.id for model, _ in seen], b"".join(symbols.tobytes() for _, symbols in seen)
    else:
        speaker = catalog.models[ids[0]]
        assert isinstance(speaker, SpeechModel)
        wave = sound_of(file, speaker.spec.sample_rate, settings.max_upload_seconds)
        ids, data, seconds = ids[:1], wave.astype("<f4").tobytes(), len(wave) / speaker.spec.sample_rate
    payload = DetectionPayload(
        models=tuple(ids),
        sound=not upload.is_picture,
        signature=json.dumps({**told, "own": own}),
        seed=fields["seed"],
        recipe=None if recipe is None else json.dumps(recipe),
        voice=fields["voice"],
        text=fields["text"],
        newest=newest,
        search=fields["search"],
    )
    return JobSpec(DETECTION, catalog.models[ids[0]], fields, payload, seconds, data)

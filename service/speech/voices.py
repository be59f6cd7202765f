"""The voices of all models, each listed once."""

from __future__ import annotations

from urllib.parse import quote

from ancestral.catalog.catalog import Catalog
from ancestral.service.speech.schemas import VoiceObject


def voices_of(catalog: Catalog, base_url: str = "/") -> list[VoiceObject]:
    """Every voice of the models of sound once, with the models that have it.

    Voices are identified by their ids; name and description are those of the first model.

    Args:
        catalog: of all models.
        base_url: of this server, as the client sees it; ends with a slash.
    """
    found: dict[str, VoiceObject] = {}
    for model in catalog.speech_models:
        for voice in model.entry.voices:
            listed = found.setdefault(
                voice.id,
                VoiceObject(
                    id=voice.id,
                    name=voice.name,
                    aliases=catalog.aliases.of_voice(voice.id),
                    language=voice.language,
                    gender=voice.gender,
                    model=model.entry.id,
                    models=[],
                    capabilities={},
                    description=voice.description,
                    license=voice.license,
                    preview_url=f"{base_url}v1/audio/voices/{quote(voice.id)}/preview"
                    if model.entry.preview(f"{voice.id}.mp3").is_file()
                    else None,
                ),
            )
            listed.models.append(model.entry.id)
            for capability in model.capabilities:
                listed.capabilities.setdefault(capability, []).append(model.entry.id)
    return list(found.values())
